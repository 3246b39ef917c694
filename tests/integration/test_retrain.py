"""The path by ``dag.test()``: control side here, the stages as commands of the other environment."""

import json
import re

import pytest

from stillhouse.artifacts import manifest as manifests
from tests.integration.house import STAGES, call, run_dag

NIGHTS = ("v0", "v1")
FEWER = 40
MODELS = ("small", "medium", "large")
SAMPLES = 4
KINDS = ("correct", "wrong", "no_answer", "malformed", "truncated", "timeout", "error")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not (STAGES / "stillhouse").exists(), reason="needs .venv: make venv"),
]


def runs(uri: str) -> list[dict]:
    experiment = call(uri, "experiments/get-by-name?experiment_name=toy")["experiment"]["experiment_id"]
    return call(uri, "runs/search", {"experiment_ids": [experiment], "max_results": 200})["runs"]


@pytest.fixture(scope="session")
def nights(home):
    """Two nights after each other; on the first there are fewer questions."""
    fewer = {"questions__max_questions": FEWER}
    return [run_dag("toy", version=version, **given) for version, given in zip(NIGHTS, (fewer, {}), strict=True)]


def test_retrain_toy_ends_in_a_registered_model(home, nights):
    _, uri = home
    for night in nights:
        assert night["state"] == "success", {name: state for name, state in night["tasks"].items() if state != "success"}
    assert made(home, "registry/toy", NIGHTS[1]).stage == "registry"
    models = call(uri, "registered-models/search?max_results=10")["registered_models"]
    assert [len(model["aliases"]) > 0 for model in models] == [True]


def test_retrain_stage_runs_are_nested_below_the_dag_runs(home, nights):
    _, uri = home
    found = runs(uri)
    tags = {run["info"]["run_id"]: {tag["key"]: tag["value"] for tag in run["data"]["tags"]} for run in found}
    parents = [run_id for run_id, given in tags.items() if "airflow.run_id" in given]
    children = [given for given in tags.values() if given.get("mlflow.parentRunId") == parents[-1]]
    assert len(children) == sum(name not in {"open_run", "plan", "leaderboard", "close_run"} for name in nights[0]["tasks"])
    assert {run["info"]["status"] for run in found} == {"FINISHED"}


def test_retrain_parent_runs_say_what_differs_and_what_it_did(home, nights):
    directory, uri = home
    found = [run for run in runs(uri) if any(tag["key"] == "airflow.run_id" for tag in run["data"]["tags"])]
    by_version = {values(run, "params")["version"]: run for run in found}
    first, second = (by_version[version] for version in NIGHTS)
    assert values(first, "params")["form/questions__max_questions"] == str(FEWER)
    assert not [name for name in values(second, "params") if name.startswith("form/")]
    assert values(first, "params")["pin/student"] == values(second, "params")["pin/student"]
    for run in (first, second):
        metrics = values(run, "metrics")
        for role in ("base", "sft", "anneal", "rl"):
            low, mean, high = (metrics[f"pass_at_1/arithmetic-toy/round_1/{role}/{end}"] for end in ("low", "mean", "high"))
            assert low <= mean <= high
        assert metrics["rows/questions"] == made(home, "questions/toy", values(run, "params")["version"]).rows
        assert values(run, "tags")["decision"] in {"champion", "challenger", "candidate"}
    assert values(first, "metrics")["reused/share"] == 0 < values(second, "metrics")["reused/share"] < 1
    assert "Leaderboard of toy" in (directory / "store" / "leaderboard" / "toy.html").read_text(encoding="utf-8")


def values(run: dict, kind: str) -> dict:
    return {one["key"]: one["value"] for one in run["data"].get(kind, [])}


def test_retrain_again_skips_every_stage(home, nights):
    again = run_dag("toy", version=NIGHTS[1])
    assert again["state"] == "success"
    skipped = re.findall(r"(?:unchanged|nothing new since \S+), skipped", again["log"])
    assert len(skipped) == len(again["tasks"].keys() - {"open_run", "plan", "leaderboard", "close_run"})


def made(home, name, version):
    directory, _ = home
    return manifests.load((directory / "store" / name / version).as_uri())


def test_retrain_next_night_samples_and_verifies_what_is_new_alone(home, nights):
    """The same models and some more questions: what was sampled and verified the night before is taken over."""
    known, asked = (made(home, "questions/toy", version).rows for version in NIGHTS)
    assert (known, asked > known) == (FEWER, True)
    for name in MODELS:
        metrics = made(home, f"responses/toy-{name}", NIGHTS[1]).metrics
        assert (metrics["n_reused"], metrics["n_sampled"]) == (SAMPLES * known, SAMPLES * (asked - known)), name
    metrics = made(home, "verified/toy", NIGHTS[1]).metrics
    assert metrics["n_reused"] == SAMPLES * known * len(MODELS)
    assert sum(metrics[f"n_{kind}"] for kind in KINDS) == SAMPLES * asked * len(MODELS)
    assert made(home, "graded/toy", NIGHTS[1]).rows == asked


def test_retrain_next_nights_model_is_held_against_the_champion_before(home, nights):
    directory, uri = home
    decision = json.loads((directory / "store" / "registry" / "toy" / NIGHTS[1] / "decision.json").read_bytes())
    gate = decision["decision"]
    assert (decision["model_version"], gate["against"]) == ("2", "1")
    assert {(item["benchmark"], item["number"]) for item in gate["evidence"]} == {("arithmetic-toy", 1), ("arithmetic-toy", 2)}
    tags = call(uri, f"model-versions/get?name={decision['model']}&version=2")["model_version"]["tags"]
    assert {tag["key"]: tag["value"] for tag in tags}["rank"] == gate["rank"]
