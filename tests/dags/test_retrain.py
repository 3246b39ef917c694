import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "trl", "mlflow", "numpy", "polars", "boto3", "kubernetes")
MODULES = 60
"""Modules of ours that a process may load to parse every DAG file: configs of all stages, and what reads profiles."""


@pytest.fixture
def retrain(dags):
    return dags["laptop"]


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
    assert found.upstream_task_ids - {"plan"} == {name for names in inputs.values() for name in names}


def test_retrain_what_costs_most_is_reused_from_the_run_before(retrain):
    reusing = {task.task_id for task in retrain.tasks if hasattr(task, "cmds") and "previous=latest" in flags_of(task)}
    assert reusing == {"responses-small", "responses-medium", "responses-large", "verified"}


def test_retrain_gives_every_stage_the_inputs_it_cannot_do_without(retrain):
    from stillhouse import stages
    from stillhouse.execution.contract import input_names

    for task in retrain.tasks:
        if hasattr(task, "cmds") and task.task_id != "leaderboard":
            known = input_names(stages.load(task.cmds[1]).Inputs)
            assert {name for name, kind in known.items() if kind == "one"} <= set(inputs_of(task)), task.task_id


def test_retrain_runs_without_catching_up_and_side_by_side(retrain):
    assert (retrain.catchup, retrain.max_active_runs > 1) == (False, True)


def test_retrain_stages_take_their_slots_from_a_pool(retrain):
    slots = {task.task_id: (task.pool, task.pool_slots) for task in retrain.tasks if hasattr(task, "cmds")}
    two = {"rl-1", "rl-2"}
    assert {name: slots[name] for name in two} == dict.fromkeys(two, ("cpu", 2))
    assert {slots[name] for name in slots.keys() - two} == {("cpu", 1)}


def test_retrain_tracking_run_is_opened_first_and_closed_whatever_happens(retrain):
    opened, closed = retrain.get_task("open_run"), retrain.get_task("close_run")
    assert (opened.is_setup, closed.is_teardown) == (True, True)
    assert not opened.upstream_task_ids
    assert not closed.downstream_task_ids


def test_retrain_run_is_recorded_whatever_happens_and_before_its_tracking_run_is_closed(retrain):
    recorded = retrain.get_task("leaderboard")
    assert (recorded.is_teardown, recorded.on_failure_fail_dagrun) == (True, False)
    assert recorded.downstream_task_ids == {"close_run"}
    assert recorded.upstream_task_ids >= {"registry"}
    assert recorded.cmds[1:] == ["leaderboard", "{{ store_root() }}", "--run", "{{ run_facts() }}"]


def test_retrain_every_asset_is_announced(retrain):
    announced = {asset.name for task in retrain.tasks for asset in task.outlets}
    assert announced == {"questions", "selected", "checkpoint", "report"}


def test_artifact_is_named_by_stage_profile_suffix_and_version(monkeypatch):
    from operators.uris import artifact

    monkeypatch.setenv("STILLHOUSE_STORE", "s3://b/")
    run = SimpleNamespace(run_after=datetime(2026, 11, 24, 2, 0, tzinfo=UTC), dag_id="toy")
    assert artifact({"params": {"version": "v1"}, "dag_run": run}, "sft-anneal") == "s3://b/sft/toy-anneal/v1"
    assert artifact({"params": {"version": None}, "dag_run": run}, "graded") == "s3://b/graded/toy/2026-11-24T02-00-00"


def test_artifact_without_a_store_says_which_variable_to_set(monkeypatch):
    from operators.uris import artifact
    from stillhouse.errors import BadConfig

    monkeypatch.delenv("STILLHOUSE_STORE", raising=False)
    with pytest.raises(BadConfig, match="STILLHOUSE_STORE"):
        artifact({"params": {"version": "v1"}, "dag_run": SimpleNamespace(dag_id="toy")}, "graded")


def loaded_by(tmp_path, names: str) -> list[str]:
    """The modules that a process loads for DAG files."""
    script = f"""
import runpy, sys
for name in {names.split()!r}:
    runpy.run_path(f"{ROOT}/dags/{{name}}.py")
print(*sys.modules)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "AIRFLOW_HOME": str(tmp_path), "STILLHOUSE_RUNNER": "process"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


def test_dags_load_nothing_heavy_and_few_modules_of_ours(tmp_path):
    """Configs alone: Airflow reads DAG files again and again."""
    pipelines = "retrain answer_study distill staged_rl think_twice evaluate release"
    loaded = loaded_by(tmp_path, f"{pipelines} wrong_profiles rollback prune")
    assert [name for name in HEAVY if name in loaded] == []
    ours = [name for name in loaded if name.partition(".")[0] == "stillhouse"]
    assert len(ours) < MODULES, ours
