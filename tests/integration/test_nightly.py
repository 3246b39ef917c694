"""Three nights of a profile whose student is last night's champion: new questions, old ones taken over, mastered ones retired."""

import json

import pytest
import yaml

from stillhouse.artifacts import manifest as manifests
from tests.integration.house import STAGES, call, run_dag

NAME = "nightly"
CHAMPION = "models:/stillhouse-nightly@champion"
RECIPES = {
    "responses-student": {
        "engine": "transformers",
        "model": "student",
        "samples": 2,
        "max_tokens": 40,
        "system_prompt": "none",
        "suffix": "none",
    },
    "graded": {"small": "student", "medium": "large", "learner": "student"},
    "selected": {"anneal_split": None, "teacher": "large", "easy_keep_probability": 1.0, "easy_categories": ["math"]},
    "registry": {"model_name": "stillhouse-nightly", "margin": 0.9},
}
QUESTIONS = {"decontaminate": ["arithmetic-toy"], "sources": [
    {"kind": "arithmetic", "name": "arithmetic", "count": 24, "seed": 21, "families": {"add-1": 1, "add-2": 1}, "distinct": True},
]}  # fmt: skip
"""The first night's; later nights have more."""
FURTHER = {"kind": "arithmetic", "name": "further", "count": 12, "seed": 77, "families": {"sub-2": 1}, "distinct": True}
PASSED_ON = {"open_run", "plan", "leaderboard", "close_run"}

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not (STAGES / "stillhouse").exists(), reason="needs .venv: make venv"),
]


def write(folder, student, questions):
    """The profile as it stands on one night."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "title": "a model trained further every night", "pipeline": "retrain", "like": "toy",
        "without": ["responses-small", "responses-medium", "sft-anneal", "rl-1", "rl-2"],
        "models": {"student": student, "large": {"recipe": "sft-large"}},
    }  # fmt: skip
    (folder / "profile.yaml").write_text(yaml.safe_dump(facts))
    for stem, values in (RECIPES | {"questions": questions}).items():
        (folder / f"{stem}.yaml").write_text(yaml.safe_dump(values))


@pytest.fixture(scope="module")
def nights(home):
    """By night: what the DAG run was."""
    directory, _ = home
    folder = directory / "profiles" / NAME
    more = QUESTIONS | {"sources": [*QUESTIONS["sources"], FURTHER]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STILLHOUSE_PROFILES_PATH", str(folder.parent))
        write(folder, {"recipe": "sft-base"}, QUESTIONS)
        first = run_dag(NAME, version="n1")
        write(folder, CHAMPION, more)
        second = run_dag(NAME, version="n2")
        third = run_dag(NAME, version="n3")
    return [first, second, third]


def made(home, stage, version, suffix=""):
    directory, _ = home
    return manifests.load((directory / "store" / stage / f"{NAME}{suffix}" / version).as_uri())


def test_nightly_ends_in_a_registered_model_every_night(nights):
    for night in nights:
        failed = {name: state for name, state in night["tasks"].items() if state != "success"}
        assert (night["state"], failed) == ("success", {}), night["log"][-3000:]


def test_nightly_starts_from_the_champion_of_the_night_before(home, nights):
    before = ("n1", "n2")
    starts = [made(home, "sft", night, "-1").inputs["checkpoint"][0].uri for night in ("n2", "n3")]
    assert [uri.rsplit("/", 2)[1:] for uri in starts] == [["nightly-1", night] for night in before]


def test_nightly_teacher_answers_new_questions_alone(home, nights):
    known, asked = made(home, "questions", "n1").rows, made(home, "questions", "n2").rows
    assert asked > known
    metrics = made(home, "responses", "n2", "-large").metrics
    assert (metrics["n_reused"], metrics["n_sampled"]) == (4 * known, 4 * (asked - known))


def test_nightly_champion_is_measured_again_and_what_it_masters_is_retired(home, nights):
    asked = made(home, "questions", "n2").rows
    assert made(home, "responses", "n2", "-student").metrics["n_sampled"] == 2 * asked, "another model than the night before"
    graded = made(home, "graded", "n2").metrics
    mastered = graded.get("n_mastered", 0)
    assert mastered == graded["n_pass_rate/student/1"], "all that the champion passes every time"


def test_nightly_without_new_data_takes_over_what_the_same_champion_made(home, nights):
    for stage, suffix in (("questions", ""), ("responses", "-large"), ("sft", "-large")):
        files = made(home, stage, "n3", suffix).files.values()
        assert all(file.at for file in files), stage


def test_nightly_registers_a_version_for_every_new_model(home, nights):
    _, uri = home
    versions = call(uri, "model-versions/search?filter=name%3D'stillhouse-nightly'")["model_versions"]
    assert len(versions) >= 2
    directory, _ = home
    decisions = [
        json.loads((directory / "store" / "registry" / NAME / night / "decision.json").read_bytes()) for night in ("n1", "n2")
    ]
    assert decisions[1]["decision"]["against"] == decisions[0]["model_version"]
