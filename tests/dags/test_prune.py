"""Retention as a DAG: off until somebody says when, a list by hand, removal by schedule."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError

from operators import parent

FILE = Path(__file__).parents[2] / "dags" / "prune.py"


def words(dag, run_type, **changes):
    task = dag.get_task("prune").prepare_for_execution()
    params = {name: dag.params[name] for name in dag.params} | changes
    task.render_template_fields({"params": params, "dag_run": SimpleNamespace(run_type=run_type), "dag": dag, "ti": None})
    return task.cmds[1:]


@pytest.fixture
def dag(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_STORE", "s3://b/store/")
    return DagBag(str(FILE)).dags["prune"]


@pytest.mark.parametrize(
    ("run_type", "delete", "last"), [("manual", False, "--dry-run"), ("manual", True, "--delete"), ("scheduled", False, "--delete")]
)
def test_prune_removes_by_schedule_or_when_the_form_says_so(dag, run_type, delete, last):
    assert words(dag, run_type, delete=delete) == ["prune", "s3://b/store", "--keep=30", "--runs-older-than=180", last]


@pytest.mark.parametrize("name", ["keep", "runs_older_than_days"])
def test_prune_number_that_would_end_airflows_dag_processor_is_refused(dag, name):
    with pytest.raises(ParamValidationError):
        dag.params.get_param(name).resolve(10**30)


def test_prune_key_that_no_field_has_is_refused_before_anything_is_removed(dag):
    [removal] = dag.get_task("check").downstream_list
    assert removal.task_id == "prune"
    context = {"dag": dag, "params": {}, "dag_run": SimpleNamespace(conf={"keeps": 100, "delete": True})}
    with pytest.raises(AirflowFailException, match=r"^keeps: no such field; did you mean keep\?$"):
        parent._refuse_wrong_conf(context)


def test_prune_runs_by_itself_only_where_a_schedule_is_set(dag, monkeypatch):
    assert dag.schedule is None
    settings = {"SCHEDULE": "0 5 * * 0", "KEEP": "7", "RUNS_DAYS": "60"}
    for name, value in settings.items():
        monkeypatch.setenv(f"STILLHOUSE_PRUNE_{name}", value)
    scheduled = DagBag(str(FILE)).dags["prune"]
    assert (scheduled.schedule, scheduled.max_active_runs) == ("0 5 * * 0", 1)
    assert words(scheduled, "scheduled")[2:4] == ["--keep=7", "--runs-older-than=60"]
