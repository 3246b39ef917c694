"""Each profile is a DAG of its own name, made by the file of its pipeline."""

import copy
import json
import re
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError

from operators import dag_of_profile, parent, profile_dag
from stillhouse import stages
from stillhouse.execution import profiles, recipes
from stillhouse.execution.contract import input_names
from stillhouse.execution.pipelines import PIPELINES

PAPERS = ("deepdistill-32b", "deepdistill-72b", "staged-rl-1.5b", "non-reasoning", "think-twice", "am-1.4m")
NAMES = sorted(path.parent.name for path in recipes.RECIPES.glob("*/profile.yaml"))


def made_by(task):
    """The attributes of a stage's task, mapped or not."""
    return SimpleNamespace(**(task.partial_kwargs | {"mapped": True})) if task.is_mapped else task


def inputs_of(task) -> dict[str, list[str]]:
    """Input name -> what it reads: artifacts of this run, or models of others."""
    named: dict[str, list[str]] = {}
    if task.is_mapped:
        flags = [
            (name, str(uri))
            for name, uris in task.partial_kwargs["inputs"].items()
            for uri in ([uris] if isinstance(uris, str) else uris)
        ]
    else:
        flags = [tuple(task.cmds[at + 1].split("=", 1)) for at, word in enumerate(task.cmds) if word == "--input"]
    for name, uri in flags:
        if name != "previous":
            found = re.fullmatch(r"\{\{ artifact\('(.+)'\) \}\}", uri)
            named.setdefault(name, []).append(found[1] if found else uri)
    return named


def stage_tasks(dag):
    return [task for task in dag.tasks if hasattr(task, "cmds") or (task.is_mapped and "stage" in task.partial_kwargs)]


def stage_of(task) -> str:
    return task.partial_kwargs["stage"] if task.is_mapped else task.task_id.partition("-")[0]


@pytest.mark.parametrize("name", NAMES)
def test_profile_is_a_dag_with_tags_page_and_no_schedule_of_the_laptop(dags, name):
    dag, profile = dags[name], profiles.load(name).profile
    assert {"stillhouse", profile.pipeline} <= set(dag.tags)
    assert profile.title in dag.doc_md
    assert dag.fileloc.endswith(f"dags/{profile.pipeline}.py")


@pytest.mark.parametrize("name", NAMES)
def test_profile_tasks_wait_for_what_they_read_and_read_what_their_stage_takes(dags, name):
    dag = dags[name]
    names = {task.task_id for task in dag.tasks}
    for task in stage_tasks(dag):
        if task.task_id in {"export", "leaderboard", "report"} or task.task_id.startswith("fetch-"):
            continue
        read = inputs_of(task)
        assert read.keys() <= input_names(stages.load(stage_of(task)).Inputs).keys(), task.task_id
        of_run = {one for several in read.values() for one in several if one in names}
        before = task.upstream_task_ids | {up for name in task.upstream_task_ids for up in dag.get_task(name).upstream_task_ids}
        if task.task_id.rpartition("-")[2] not in {"map", "combine"} and f"{task.task_id}-map" not in names:
            assert of_run <= before, task.task_id


@pytest.mark.parametrize("name", [name for name in NAMES if PIPELINES[profiles.load(name).profile.pipeline].end])
def test_profile_begins_with_a_plan_and_makes_what_its_pipeline_ends_in(dags, name):
    dag = dags[name]
    assert PIPELINES[profiles.load(name).profile.pipeline].end in {task.task_id for task in dag.tasks}
    roots = {task.task_id for task in dag.tasks if not task.upstream_task_ids}
    assert roots == {"open_run"}
    assert dag.get_task("open_run").downstream_task_ids >= {"plan"}


@pytest.mark.parametrize("name", PAPERS)
def test_papers_profile_waits_for_a_person_above_its_bound(dags, name):
    approve = dags[name].get_task("approve")
    assert approve.bound_gpu_hours == 100
    assert approve.upstream_task_ids == {"plan"}


@pytest.mark.parametrize("name", PAPERS)
def test_papers_profile_splits_what_works_row_by_row(dags, name):
    mapped = {task.task_id: task for task in dags[name].tasks if task.is_mapped}
    sampled = [task for task in mapped if task.startswith("responses")]
    assert sampled
    assert all(dags[name].params.get_param(f"placement__{task.replace('-', '_')}__shards").value >= 16 for task in sampled)


def test_papers_profile_decides_over_all_rows_between_two_passes_over_the_shards(dags):
    dag = dags["deepdistill-32b"]
    mapped, combine, made = (dag.get_task(f"screened{suffix}") for suffix in ("-map", "-combine", ""))
    assert (mapped.is_mapped, combine.is_mapped, made.is_mapped) == (True, False, True)
    assert mapped.upstream_task_ids == {"shards-screened-map"}
    assert dag.get_task("shards-screened-map").upstream_task_ids == {"questions", "responses"}
    assert combine.upstream_task_ids == {"screened-map"}
    assert "screened-combine" in dag.get_task("shards-screened").upstream_task_ids


def test_deepdistill_form_has_a_section_for_every_recipe_with_its_values(dags):
    form = dags["deepdistill-32b"].params
    sections = {form.get_param(name).schema.get("section") for name in form}
    assert {"questions", "responses", "verified", "screened", "graded", "selected", "sft-1", "sft-anneal", "placement"} <= sections
    assert form["sft_1__learning_rate"] == 8e-5
    assert form["sft_1__packing"] is True
    assert form["sft_anneal__epochs"] == 2
    assert form["screened__max_perplexity"] == 20
    assert form["selected__teacher"] == "DeepSeek-R1"


def test_deepdistill_learns_from_the_hubs_model_and_anneals_the_checkpoint(dags):
    dag = dags["deepdistill-32b"]
    assert inputs_of(dag.get_task("sft-1"))["checkpoint"] == ["hf://Qwen/Qwen2.5-32B"]
    assert inputs_of(dag.get_task("sft-anneal"))["checkpoint"] == ["sft-1"]
    assert {"report-sft-aime-2024", "report-anneal-gpqa-diamond"} <= {task.task_id for task in dag.tasks}


def test_hub_model_is_fetched_once_before_the_tasks_that_take_gpus_for_it(dags):
    dag = dags["deepdistill-32b"]
    fetch = dag.get_task("fetch-student")
    assert fetch.cmds[1:] == ["fetch", "hf://Qwen/Qwen2.5-32B", "--for", "{{ artifact('questions') }}"]
    assert fetch.upstream_task_ids == {"approve"}
    assert fetch.downstream_task_ids == {"sft-1"}
    assert [task.task_id for task in dag.tasks if task.task_id.startswith("fetch-")] == ["fetch-student"]


def test_form_of_a_cluster_has_the_placement_of_every_task_and_refuses_other_keys(load, monkeypatch):
    monkeypatch.delenv("STILLHOUSE_RUNNER")
    own_profile(load.path, "mine", placement={"sft-1": {"gpus": 8, "nodes": 2}, "verified": {"cores": 4, "memory": "9Gi"}})
    dag = load("retrain")[0]["mine"]
    shown = {name.removeprefix("placement__"): dag.params[name] for name in dag.params if name.startswith("placement__")}
    assert {
        "sft_1__gpus": 8,
        "sft_1__nodes": 2,
        "verified__cores": 4,
        "verified__memory": "9Gi",
        "rl_1__gpus": None,
    }.items() <= shown.items()
    assert not {"rl_1__nodes", "verified__gpus"} & shown.keys()
    placing = dag.user_defined_macros["placing"]
    params = {name: dag.params[name] for name in dag.params} | {"placement__verified__cores": 16}
    assert json.loads(placing({"params": params}, "verified")) == {"resources": {"cpu": "16", "memory": "9Gi"}, "nodes": 1}
    with pytest.raises(AirflowFailException, match="placement__verified__gpus: no such field"):
        opened(dag, placement__verified__gpus=1)


def test_hub_model_that_this_dag_serves_is_fetched_before_its_replicas_start(load, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_RUNNER", "pod")
    model = {"serve": "hf://ORG/MODEL@main"}
    own_profile(load.path, "mine", models={"student": {"recipe": "sft-base"}, "judge": model, "large": model})
    dag = load("retrain")[0]["mine"]
    fetched = [task for task in dag.tasks if task.task_id.startswith("fetch-")]
    assert [task.cmds[2] for task in fetched] == ["hf://ORG/MODEL@main"], "once for both roles"
    assert all(name.startswith("start-") for name in fetched[0].downstream_task_ids)


def test_deepdistill_teachers_are_up_before_the_responses_and_down_after(dags):
    dag = dags["deepdistill-32b"]
    first, responses = dag.get_task("shards-responses"), dag.get_task("responses")
    assert {"ready-deepseek-r1-distill-qwen-1-5b", "ready-deepseek-r1-distill-qwen-7b"} <= first.upstream_task_ids
    assert responses.upstream_task_ids == {"shards-responses"}
    assert "stop-deepseek-r1-distill-qwen-7b" in responses.downstream_task_ids


def test_deepdistill_72b_takes_the_recipes_it_is_like_but_for_annealing(dags):
    tasks = {task.task_id for task in dags["deepdistill-72b"].tasks}
    assert {"sft-1", "sft-1-low", "screened"} <= tasks
    assert "sft-anneal" not in tasks


@pytest.mark.parametrize(
    ("param", "value"),
    [("version", "../up"), ("version", ""), ("sft_1__learning_rate", 0), ("sft_1__learning_rate", None), ("rl_1__group_size", 1),
     ("sft_1__packing", "yes"), ("sft_1__loss_on", "all")],
)  # fmt: skip
def test_form_value_out_of_bounds_is_refused(dags, param, value):
    with pytest.raises(ParamValidationError):
        copy.copy(dags["laptop"].params.get_param(param)).resolve(value)


def opened(dag, **conf):
    params = {name: dag.params[name] for name in dag.params} | conf
    context = {"dag": dag, "params": params, "dag_run": SimpleNamespace(conf=conf, dag_id=dag.dag_id)}
    parent._refuse_wrong_conf(context)


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"sft_1__learning_rat": 1e-4}, "sft_1__learning_rat: no such field; did you mean sft_1__learning_rate?"),
        ({"Profile": "toy"}, "Profile: no such field"),
        ({"sft_1__suffixes": {"maths": "boxed"}}, "sft-1: .*suffixes"),
        ({"report__benchmarks": ["arithmetc"]}, "report: .*arithmetc"),
    ],
)
def test_conf_that_no_stage_would_take_is_refused_by_name(dags, conf, words):
    with pytest.raises(AirflowFailException, match=words):
        opened(dags["toy"], **conf)


def test_conf_of_the_form_alone_is_taken(dags):
    assert opened(dags["toy"]) is None
    assert opened(dags["toy"], version="v1", sft_1__learning_rate=2e-3) is None


def test_published_benchmark_without_its_data_is_refused_before_a_gpu_is_asked_for(dags):
    with pytest.raises(AirflowFailException, match="benchmark aime-2024 is published by others"):
        opened(dags["deepdistill-32b"])


def layers(dag, recipe, **changes):
    form = dag.user_defined_macros["form"]
    return form.layers(recipe, {name: dag.params[name] for name in dag.params} | changes)


def test_layers_of_an_untouched_form_are_the_recipe_alone(dags):
    assert layers(dags["laptop"], "sft-1") == ("@laptop/sft-1", "{}")


def test_layers_hold_only_what_was_changed(dags):
    recipe, changed = layers(dags["laptop"], "sft-1", sft_1__learning_rate=2e-3, sft_1__packing=True)
    assert (recipe, json.loads(changed)) == ("@laptop/sft-1", {"learning_rate": 2e-3, "packing": True})


def test_layers_with_a_changed_mapping_are_the_whole_config(dags):
    """Layers are merged key by key: only so can a key be taken away."""
    recipe, changed = layers(dags["staged-rl-1.5b"], "rl-mixed", rl_mixed__suffixes={})
    assert (recipe, json.loads(changed)["suffixes"], json.loads(changed)["steps"]) == ("{}", {}, 1600)


def test_layers_name_the_data_of_a_published_benchmark(dags):
    commit = "a" * 40
    _, changed = layers(dags["deepdistill-32b"], "report-aime-2024", benchmarks__aime_2024=commit)
    assert json.loads(changed) == {"benchmarks": [f"aime-2024@{commit}"]}


def own_profile(folder, name, **changes):
    """A copy of toy with other lines in profile.yaml."""
    import yaml

    target = folder / name
    target.mkdir()
    facts = yaml.safe_load((recipes.RECIPES / "toy" / "profile.yaml").read_text()) | {"like": "toy"} | changes
    (target / "profile.yaml").write_text(yaml.safe_dump(facts))
    return target


def test_profile_of_the_users_own_is_a_dag_whose_tasks_need_no_folder(load):
    own_profile(load.path, "mine")
    (load.path / "mine" / "sft-1.yaml").write_text("split: sft_1\nlearning_rate: 0.5\nmax_steps: 1\n")
    found, errors = load("retrain")
    assert errors == {}
    dag = found["mine"]
    assert json.loads(layers(dag, "sft-1")[0]) == {"split": "sft_1", "learning_rate": 0.5, "max_steps": 1}
    assert dag.params["sft_1__learning_rate"] == 0.5


def test_profile_that_appears_later_is_found_by_the_next_reading_of_the_file(load):
    assert "late" not in load("retrain")[0]
    own_profile(load.path, "late")
    assert "late" in load("retrain")[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pipeline": "retrian"}, "did you mean retrain"),
        ({"models": {"student": {"serv": "x"}}}, "models.student: write a model reference"),
        ({"models": {"student": {"recipe": "sft-bose"}}}, "no recipe sft-bose.yaml in wrong; did you mean sft-base"),
        ({"models": {}}, "needs the role student"),
        ({"placement": {"respnses": {"shards": 2}}}, "placement.respnses: no such task"),
        ({"placement": {"sft": {"shards": 2}}}, "placement.sft: shards: it makes one model"),
        ({"placement": {"rl": {"gpu": 2}}}, "placement.rl.gpu: no such field"),
        ({"like": "toyy"}, "like: no profile 'toyy'"),
        ({"benchmarks": {"aime-2042": None}}, "aime-2042: no benchmark"),
    ],
)
def test_wrong_profile_is_an_import_error_and_no_other_dag_suffers(load, changes, words):
    own_profile(load.path, "wrong", **changes)
    found, errors = load("wrong_profiles", "retrain")
    assert "toy" in found
    assert list(errors) == ["wrong_profiles"]
    assert re.search(re.escape(words), errors["wrong_profiles"])


def test_wrong_recipe_of_a_profile_is_named_with_its_file(load):
    own_profile(load.path, "wrong")
    (load.path / "wrong" / "sft-1.yaml").write_text("learning_rat: 0.5\n")
    found, errors = load("wrong_profiles", "retrain")
    assert ("wrong" in found, list(errors)) == (False, ["wrong_profiles"])
    assert "wrong/sft-1.yaml: learning_rat: no such field" in errors["wrong_profiles"]


def test_promotion_waits_for_a_person_where_the_profile_says_so(load):
    own_profile(load.path, "careful", approve=True)
    dag = load("retrain")[0]["careful"]
    assert dag.get_task("registry").upstream_task_ids >= {"approve-promotion"}


def test_profile_may_be_scheduled_by_time_or_by_what_another_dag_makes(load, monkeypatch):
    monkeypatch.delenv("STILLHOUSE_SCHEDULES", raising=False)
    own_profile(load.path, "nightly-mine", schedule="0 2 * * *")
    own_profile(load.path, "following", schedule={"asset": "checkpoint"}, pipeline="evaluate", models={}, placement={})
    found, _ = load("retrain", "evaluate")
    assert found["nightly-mine"].schedule == "0 2 * * *"
    assert "checkpoint" in str(found["following"].schedule)
    monkeypatch.setenv("STILLHOUSE_SCHEDULES", "off")
    assert load("retrain")[0]["nightly-mine"].schedule is None


def test_served_model_takes_its_nodes_its_placement_and_the_pin_of_its_run(load, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_RUNNER", "pod")
    models = {"student": {"recipe": "sft-base"}, "large": {"serve": "hf://ORG/BIG", "gpus": 8, "nodes": 2, "replicas": 3}}
    own_profile(load.path, "mine", models=models, placement={"teacher-large": {"memory": "1500Gi", "shared_memory": "64Gi"}})
    dag = load("retrain")[0]["mine"]
    [start] = [task for task in dag.tasks if task.task_id.startswith("start-")]
    settings = start.op_args[1]
    assert (settings["model"], settings["run"]) == ("hf://ORG/BIG", "{{ artifact('questions') }}")
    assert (settings["nodes"], settings["where"]["resources_needed"]["memory"]) == (2, "1500Gi")
    assert settings["where"]["pod"] == {"shared_memory": "64Gi"}


def test_profile_that_airflow_alone_refuses_is_an_import_error_and_no_other_dag_suffers(load, monkeypatch):
    """What our own checks do not know of: two such profiles are both named, beside a sound one in the same file."""
    own_profile(load.path, "wrong")
    own_profile(load.path, "late")
    sound = dag_of_profile.empty

    def empty(profile, page, macros):
        dag, _ = sound(profile, page, macros)
        return dag, ValueError(f"no {profile.name} today") if profile.name == "wrong" else None

    monkeypatch.setattr(dag_of_profile, "empty", empty)
    monkeypatch.setattr(profile_dag.ProfileDag, "register", lambda path, **_: 1 / (path.profile.name != "late"))
    found, errors = load("retrain")
    assert ("toy" in found, "wrong" in found, "late" in found) == (True, False, False)
    assert list(errors) == ["retrain"]
    assert "profile wrong: no wrong today" in errors["retrain"]
    assert "profile late: division by zero" in errors["retrain"]


def test_profile_that_is_mended_is_a_dag_again(load, monkeypatch):
    own_profile(load.path, "wrong")
    with monkeypatch.context() as broken:
        broken.setattr(profile_dag.ProfileDag, "register", lambda path, **_: 1 / (path.profile.name != "wrong"))
        assert "profile wrong" in load("retrain")[1]["retrain"]
    found, errors = load("retrain")
    assert ("wrong" in found, errors) == (True, {})


def test_profiles_in_a_circle_are_an_import_error_and_the_dag_of_evaluations_does_not_suffer(load, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_PROFILES", "evaluate,wrong,late")
    own_profile(load.path, "wrong", like="late")
    own_profile(load.path, "late", like="wrong")
    found, errors = load("wrong_profiles", "evaluate")
    assert ("evaluate" in found, list(errors)) == (True, ["wrong_profiles"])
    assert "end the circle in one profile.yaml" in errors["wrong_profiles"]


def test_form_bounds_the_placement_as_the_profile_does(load, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_RUNNER", "pod")
    own_profile(load.path, "mine", placement={"responses": {"shards": 2}})
    params = load("retrain")[0]["mine"].params
    for name, value in {
        "placement__sft_1__gpus": 10**6,
        "placement__sft_1__cores": 0,
        "placement__responses_large__shards": 10**6,
    }.items():
        with pytest.raises(ParamValidationError):
            params.get_param(name).resolve(value)
