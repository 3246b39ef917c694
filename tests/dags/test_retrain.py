import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import ParamValidationError

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "trl", "mlflow", "numpy", "polars", "boto3", "kubernetes")


@pytest.fixture
def retrain(dags):
    return dags["retrain"]


def flags_of(task) -> list[str]:
    """What follows each ``--input`` of the command line."""
    return [task.cmds[at + 1] for at, word in enumerate(task.cmds) if word == "--input"]


def inputs_of(task) -> dict[str, list[str]]:
    """Input name -> the artifacts of this run it names; what an earlier run made is none of them."""
    flags = [flag for flag in flags_of(task) if not flag.startswith("previous=")]
    named: dict[str, list[str]] = {}
    for flag in flags:
        name, uri = flag.split("=", 1)
        named.setdefault(name, []).append(re.fullmatch(r"\{\{ artifact\('(.+)'\) \}\}", uri)[1])
    return named


@pytest.mark.parametrize(
    ("task", "inputs"),
    [
        ("questions-corpus", {}),
        ("selected-corpus", {"questions": ["questions-corpus"]}),
        ("sft-base", {"selected": ["selected-corpus"]}),
        ("sft-large", {"selected": ["selected-corpus"]}),
        ("questions", {}),
        ("responses-medium", {"questions": ["questions"], "checkpoint": ["sft-medium"]}),
        ("verified", {"questions": ["questions"], "responses": ["responses-small", "responses-medium", "responses-large"]}),
        ("screened", {"questions": ["questions"], "responses": ["responses-small", "responses-medium", "responses-large"]}),
        ("graded", {"questions": ["questions"], "verified": ["verified"]}),
        (
            "selected",
            {
                "questions": ["questions"], "responses": ["responses-small", "responses-medium", "responses-large"],
                "verified": ["verified"], "screened": ["screened"], "graded": ["graded"],
            },
        ),
        ("sft-1", {"selected": ["selected"], "checkpoint": ["sft-base"]}),
        ("sft-anneal", {"selected": ["selected"], "checkpoint": ["sft-1"]}),
        ("rl-1", {"selected": ["selected"], "questions": ["questions"], "graded": ["graded"], "checkpoint": ["sft-anneal"]}),
        ("rl-2", {"selected": ["selected"], "questions": ["questions"], "graded": ["graded"], "checkpoint": ["rl-1"]}),
        ("report-base", {"checkpoint": ["sft-base"]}),
        ("report-sft", {"checkpoint": ["sft-1"]}),
        ("report-anneal", {"checkpoint": ["sft-anneal"]}),
        ("report-rl", {"checkpoint": ["rl-2"]}),
        ("registry", {"report": ["report-rl"], "checkpoint": ["rl-2"], "others": ["report-base", "report-sft", "report-anneal"]}),
    ],
)  # fmt: skip
def test_retrain_task_reads_what_the_path_says_and_waits_for_it(retrain, task, inputs):
    found = retrain.get_task(task)
    assert inputs_of(found) == inputs
    assert found.upstream_task_ids - {"open_run"} == {name for names in inputs.values() for name in names}


def test_retrain_what_costs_most_is_reused_from_the_run_before(retrain):
    reusing = {task.task_id for task in retrain.tasks if hasattr(task, "cmds") and "previous=latest" in flags_of(task)}
    assert reusing == {"responses-small", "responses-medium", "responses-large", "verified"}


def test_retrain_stages_take_the_inputs_their_tasks_give(retrain):
    from stillhouse import stages
    from stillhouse.execution.contract import input_names

    for task in retrain.tasks:
        if hasattr(task, "cmds"):
            known = input_names(stages.load(task.cmds[1]).Inputs)
            assert {flag.partition("=")[0] for flag in flags_of(task)} <= set(known), task.task_id
            assert set(inputs_of(task)) <= set(known), task.task_id
            assert {name for name, kind in known.items() if kind == "one"} <= set(inputs_of(task)), task.task_id


@pytest.mark.parametrize("profile", ["laptop", "smollm2", "toy"])
def test_retrain_every_recipe_it_names_is_packaged(retrain, profile):
    from stillhouse.execution.recipes import recipes

    wanted = {task.cmds[3].replace("@{{ params.profile }}", profile) for task in retrain.tasks if hasattr(task, "cmds")}
    assert wanted - set(recipes()) == set()


def test_retrain_runs_nightly_once_at_a_time_without_catching_up(retrain):
    assert retrain.schedule == "0 2 * * *"
    assert retrain.catchup is False
    assert retrain.max_active_runs == 1


def test_retrain_stages_take_their_slots_from_a_pool(retrain):
    slots = {task.task_id: (task.pool, task.pool_slots) for task in retrain.tasks if hasattr(task, "cmds")}
    two = {"rl-1", "rl-2"}
    assert {name: slots[name] for name in two} == dict.fromkeys(two, ("cpu", 2))
    assert {slots[name] for name in slots.keys() - two} == {("cpu", 1)}


def test_retrain_tracking_run_is_opened_first_and_closed_whatever_happens(retrain):
    opened, closed = retrain.get_task("open_run"), retrain.get_task("close_run")
    assert opened.is_setup
    assert closed.is_teardown
    assert {task.task_id for task in retrain.tasks if not task.upstream_task_ids} == {"open_run"}


def test_retrain_hand_offs_announce_their_assets(retrain):
    announced = {asset.name for task in retrain.tasks for asset in task.outlets}
    assert announced == {"questions", "selected", "checkpoint", "report"}


@pytest.mark.parametrize(
    ("param", "value"),
    [("profile", "nobody"), ("version", "../up"), ("version", ""), ("sft_1__learning_rate", 0), ("rl__group_size", 1)],
)
def test_retrain_param_out_of_bounds_is_refused(retrain, param, value):
    with pytest.raises(ParamValidationError):
        retrain.params.get_param(param).resolve(value)


def test_artifact_is_named_by_stage_profile_suffix_and_version(monkeypatch):
    from operators.uris import artifact

    monkeypatch.setenv("STILLHOUSE_STORE", "s3://b/")
    run = SimpleNamespace(run_after=datetime(2026, 11, 24, 2, 0, tzinfo=UTC))
    assert artifact({"params": {"profile": "toy", "version": "v1"}, "dag_run": run}, "sft-anneal") == "s3://b/sft/toy-anneal/v1"
    assert (
        artifact({"params": {"profile": "toy", "version": None}, "dag_run": run}, "graded")
        == "s3://b/graded/toy/2026-11-24T02-00-00"
    )


def test_artifact_without_a_store_says_which_variable_to_set(monkeypatch):
    from operators.uris import artifact
    from stillhouse.errors import BadConfig

    monkeypatch.delenv("STILLHOUSE_STORE", raising=False)
    with pytest.raises(BadConfig, match="STILLHOUSE_STORE"):
        artifact({"params": {"profile": "toy", "version": "v1"}}, "graded")


def test_dags_load_nothing_heavy(tmp_path):
    script = f"""
import runpy, sys
runpy.run_path({str(ROOT / "dags" / "retrain.py")!r})
print(*[name for name in {HEAVY!r} if name in sys.modules])
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "AIRFLOW_HOME": str(tmp_path), "STILLHOUSE_RUNNER": "process"}
    loaded = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []


def test_dags_build_their_forms_from_fewer_than_forty_modules_of_ours(tmp_path):
    """Configs alone: a scheduler reads DAG files again and again."""
    script = f"""
import runpy, sys
for name in ("retrain", "evaluate", "answer_study"):
    runpy.run_path(f"{ROOT}/dags/{{name}}.py")
print(*[name for name in sys.modules if name.partition(".")[0] == "stillhouse"])
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "AIRFLOW_HOME": str(tmp_path), "STILLHOUSE_RUNNER": "process"}
    loaded = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True).stdout
    assert len(loaded.split()) < 40, loaded
