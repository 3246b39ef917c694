"""The path by ``dag.test()``: control side here, the stages as commands of the other environment."""

import json

import pytest

from tests.integration.house import STAGES, call, run_dag

VERSION = "v1"
KINDS = ("correct", "wrong", "no_answer", "malformed", "truncated", "timeout", "error")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not (STAGES / "stillhouse").exists(), reason="needs .venv: make venv"),
]


def retrain():
    return run_dag("retrain", profile="toy", version=VERSION)


def runs(uri: str) -> list[dict]:
    experiment = call(uri, "experiments/get-by-name?experiment_name=stillhouse")["experiment"]["experiment_id"]
    return call(uri, "runs/search", {"experiment_ids": [experiment], "max_results": 200})["runs"]


@pytest.fixture(scope="session")
def first(home):
    return retrain()


def test_retrain_toy_ends_in_a_registered_model(home, first):
    directory, uri = home
    assert first["state"] == "success", {name: state for name, state in first["tasks"].items() if state != "success"}
    assert (directory / "store" / "registry" / "toy" / VERSION / "manifest.json").exists()
    models = call(uri, "registered-models/search?max_results=10")["registered_models"]
    assert [len(model["aliases"]) > 0 for model in models] == [True]


def test_retrain_stage_runs_are_nested_below_the_dag_runs(home, first):
    _, uri = home
    found = runs(uri)
    tags = {run["info"]["run_id"]: {tag["key"]: tag["value"] for tag in run["data"]["tags"]} for run in found}
    parents = [run_id for run_id, given in tags.items() if "airflow.run_id" in given]
    children = [given for given in tags.values() if given.get("mlflow.parentRunId") == parents[-1]]
    assert len(children) == sum(name not in {"open_run", "close_run"} for name in first["tasks"])
    assert {run["info"]["status"] for run in found} == {"FINISHED"}


def test_retrain_again_skips_every_stage(home, first):
    assert first["state"] == "success"
    again = retrain()
    assert again["state"] == "success"
    assert again["log"].count("unchanged, skipped") == len(again["tasks"]) - 2


def test_retrain_next_night_samples_and_verifies_nothing_again(home, first):
    """Another version of the same questions and models: everything is made anew but what GPUs were paid for."""
    directory, _ = home
    assert first["state"] == "success"
    night = run_dag("retrain", profile="toy", version="v2")
    assert night["state"] == "success"
    for name in ("responses/toy-small", "responses/toy-medium", "responses/toy-large"):
        metrics = json.loads((directory / "store" / name / "v2" / "manifest.json").read_bytes())["metrics"]
        assert (metrics["n_sampled"], metrics["n_reused"]) == (0, metrics["n_responses"]), name
    metrics = json.loads((directory / "store" / "verified" / "toy" / "v2" / "manifest.json").read_bytes())["metrics"]
    assert metrics["n_reused"] == sum(metrics[f"n_{kind}"] for kind in KINDS)
