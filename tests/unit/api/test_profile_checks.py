import pytest
import yaml

from stillhouse.api import profile_checks
from stillhouse.errors import BadConfig
from stillhouse.execution import profiles, recipes


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A folder of profiles of the user's own; call with a name and what differs from toy."""
    monkeypatch.setenv("STILLHOUSE_PROFILES_PATH", str(tmp_path))

    def make(name, **changes):
        folder = tmp_path / name
        folder.mkdir()
        facts = yaml.safe_load((recipes.RECIPES / "toy" / "profile.yaml").read_text()) | {"like": "toy"} | changes
        (folder / "profile.yaml").write_text(yaml.safe_dump(facts))
        return folder

    return make


PACKAGED = sorted(path.parent.name for path in recipes.RECIPES.glob("*/profile.yaml"))


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_profile_has_no_problem(name):
    assert profile_checks.problems(recipes.RECIPES / name) == []


@pytest.mark.parametrize("name", ["laptop", "smollm2", "toy", "laptop-study", "toy-study", "evaluate"])
def test_profile_of_the_laptop_leaves_nothing_to_fill_in(name):
    assert profile_checks.check(name).open_questions == []


def test_papers_profile_names_what_only_its_user_can_say():
    unsaid = profile_checks.check("deepdistill-32b").open_questions
    assert "screened.yaml: perplexity_model: replace FILL-IN by what the paper does not say" in unsaid
    assert any("sources[NuminaMath].revision" in line for line in unsaid)
    assert any(line.startswith("report-aime-2024.yaml: benchmark aime-2024 is published by others") for line in unsaid)


def test_benchmark_whose_data_the_profile_names_is_no_open_question(mine):
    mine("own", like="deepdistill-32b", pipeline="evaluate", models={}, placement={}, benchmarks={"aime-2024": "a" * 40})
    assert not any("benchmark aime-2024" in line for line in profile_checks.check("own").open_questions)


def test_check_by_folder_or_by_name_is_the_same(mine):
    folder = mine("own")
    assert profile_checks.check(str(folder)) == profile_checks.check("own")


def test_check_of_nothing_names_the_nearest(mine):
    with pytest.raises(BadConfig, match="laptp: no such folder and no such profile; did you mean laptop?"):
        profile_checks.check("laptp")


def test_check_says_everything_that_is_wrong_at_once(mine):
    folder = mine("own", placement={"respnses": {"shards": 2}, "rl": {"shards": 2}})
    (folder / "sft-1.yaml").write_text("learning_rat: 1\n")
    (folder / "sfd-2.yaml").write_text("{}\n")
    with pytest.raises(BadConfig) as failed:
        profile_checks.check("own")
    for words in (
        "learning_rat: no such field",
        "sfd-2.yaml: a recipe is named after its stage",
        "placement.respnses",
        "placement.rl: shards",
    ):
        assert words in str(failed.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"models": {"student": "hf:/typo"}}, "models.student"),
        ({"models": {"student": {"serve": "Qwen/Qwen2.5-7B"}}}, "models.student"),
        ({"models": {"student": 3}}, "models.student: write a model reference, or a mapping with serve, recipe or name; got 3"),
        ({"schedule": "0 25 * * *"}, "schedule: hour of a cron expression is from 0 to 23, or *"),
        ({"schedule": "nightly"}, "schedule: a cron expression has five fields"),
        ({"schedule": {"asset": "chekpoint"}}, "schedule.asset: input should be 'questions', 'selected', 'checkpoint' or 'report'"),
    ],
)
def test_wrong_model_or_schedule_is_one_problem(mine, changes, words):
    [problem] = profile_checks.problems(mine("own", **changes))
    assert words in problem


@pytest.mark.parametrize("schedule", ["0 2 * * *", "*/15 8-18 * * MON-FRI", "@daily", {"asset": "checkpoint"}, None])
def test_schedule_is_taken(mine, schedule):
    assert profile_checks.problems(mine("own", schedule=schedule)) == []


def test_name_that_two_folders_have_is_a_problem_and_the_first_one_counts(mine):
    mine("laptop")
    assert any("profile laptop lies in" in problem for problem in profile_checks.all_problems())
    assert profiles.load("laptop").packaged


def test_path_that_is_not_there_is_a_problem_and_no_other_profile_suffers(tmp_path, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_PROFILES_PATH", str(tmp_path / "gone"))
    assert profile_checks.all_problems() == [
        f"STILLHOUSE_PROFILES_PATH: {tmp_path / 'gone'} is not a directory of profiles that can be read"
    ]
    assert profiles.load("laptop").name == "laptop"


def test_folder_of_recipes_without_a_profile_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_PROFILES_PATH", str(tmp_path))
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "sft-1.yaml").write_text("{}\n")
    assert any("no profile.yaml; write one" in problem for problem in profile_checks.all_problems())


def test_new_profile_is_sound_and_holds_every_recipe_it_was_like(tmp_path):
    files = profile_checks.start(str(tmp_path / "mine"), "deepdistill-72b")
    assert {path.name for path in files} >= {"profile.yaml", "sft-1.yaml", "screened.yaml"}
    assert "like:" not in (tmp_path / "mine" / "profile.yaml").read_text()
    assert profile_checks.problems(tmp_path / "mine") == []


@pytest.mark.parametrize(
    ("folder", "like", "words"),
    [("Mine", "laptop", "in small letters"), ("mine", "laptpo", "did you mean laptop"), ("full", "laptop", "is not empty")],
)
def test_new_profile_refusals(tmp_path, folder, like, words):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(BadConfig, match=words):
        profile_checks.start(str(tmp_path / folder), like)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tags": ["x" * 101]}, "tags.0: string should have at most 100 characters"),
        ({"tags": [""]}, "tags.0: string should have at least 1 character"),
        ({"title": "a\x00b"}, "title: string should match pattern"),
        ({"placement": {"responses": {"shards": 0}}}, "placement.responses.shards: input should be greater than or equal to 1"),
        ({"placement": {"responses": {"shards": 10**6}}}, "placement.responses.shards: input should be less than or equal to 4096"),
        ({"placement": {"sft": {"gpus": 10**6}}}, "placement.sft.gpus: input should be less than or equal to 1024"),
        ({"placement": {"sft": {"cores": 10**30}}}, "placement.sft.cores: input should be less than or equal to 4096"),
        ({"placement": {"sft": {"memory": "0Gi"}}}, "placement.sft.memory: string should match pattern"),
        ({"placement": {"sft-aneal": {"gpus": 2}}}, "placement.sft-aneal: no such task, recipe or stage; did you mean sft-anneal?"),
        ({"without": ["sft-aneal"]}, "without: sft-aneal: no recipe of toy; did you mean sft-anneal?"),
        ({"without": ["questions"]}, "pipeline retrain needs a recipe questions.yaml"),
        ({"benchmarks": {"aime-2024": "main"}}, "benchmarks.aime-2024: string should match pattern"),
        ({"bound_gpu_hours": float("inf")}, "bound_gpu_hours: input should be a finite number"),
        ({"models": {"student": {"recipe": "sft-base"}, "my role": "hf://a/b"}}, "models.my role: string should match pattern"),
        ({"schedule": "*/0 * * * *"}, "schedule: minute of a cron expression"),
    ],
)
def test_profile_that_airflow_would_refuse_is_refused_in_words(mine, changes, words):
    assert words in "; ".join(profile_checks.problems(mine("own", **changes)))


@pytest.mark.parametrize("size", ["0.5Gi", "96Gi", "1.5Ti", "100M"])
def test_memory_above_zero_passes(mine, size):
    assert profile_checks.problems(mine("own", placement={"sft": {"memory": size}})) == []


@pytest.mark.parametrize("name", ["rollback", "prune", "reaper"])
def test_profile_named_like_a_dag_of_the_house_is_refused(mine, name):
    [problem] = profile_checks.problems(mine(name))
    assert f"{name} is a DAG of stillhouse's own; rename the folder" in problem


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["sft- 1.yaml"], "a recipe is named in letters, digits, '.', '_' and '-'"),
        (["sft-größe.yaml"], "a recipe is named in letters"),
        (["sft-1-a.yaml", "sft-1.a.yaml"], "the form cannot tell sft-1.a from sft-1-a; rename one of the two files"),
        (["sft-1.yml"], "a recipe is a file whose name ends in .yaml; rename it"),
    ],
)
def test_recipe_whose_name_no_task_can_have_is_refused(mine, files, words):
    folder = mine("own")
    for name in files:
        (folder / name).write_text("{}")
    assert words in "; ".join(profile_checks.problems(folder))


def test_directory_named_like_a_recipe_is_none(mine):
    folder = mine("own")
    (folder / "sft-9.yaml").mkdir()
    assert profile_checks.problems(folder) == [f"{folder / 'sft-9.yaml'}: a recipe is a file whose name ends in .yaml; rename it"]


def test_profile_file_with_another_ending_is_named(mine):
    folder = mine("own")
    (folder / "profile.yaml").rename(folder / "profile.yml")
    assert any(f"{folder}: no profile.yaml" in problem for problem in profile_checks.all_problems())


def test_profiles_in_a_circle_leave_the_recipes_of_others(mine):
    mine("first", like="second")
    mine("second", like="first")
    assert "toy/sft-1" in recipes.recipes()
    assert not any(name.startswith(("first/", "second/")) for name in recipes.recipes())
