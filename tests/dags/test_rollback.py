"""Rolling back as a DAG: which version, and nothing by mistake."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError

from operators import parent

FILE = Path(__file__).parents[2] / "dags" / "rollback.py"


@pytest.fixture
def dag(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_STORE", "s3://b/store/")
    return DagBag(str(FILE)).dags["rollback"]


@pytest.mark.parametrize(("version", "last"), [(None, "--to="), ("3", "--to=3")])
def test_rollback_goes_to_the_version_of_the_form_or_to_the_champion_before(dag, version, last):
    task = dag.get_task("rollback").prepare_for_execution()
    task.render_template_fields({"params": {"model": "ours", "version": version}, "dag": dag, "ti": None})
    assert task.cmds[1:] == ["rollback", "ours", last]


def test_rollback_with_a_misspelt_version_is_refused_before_the_champion_changes(dag):
    [change] = dag.get_task("check").downstream_list
    assert change.task_id == "rollback"
    context = {"dag": dag, "params": {}, "dag_run": SimpleNamespace(conf={"model": "ours", "verison": "3"})}
    with pytest.raises(AirflowFailException, match=r"^verison: no such field; did you mean version\?$"):
        parent._refuse_wrong_conf(context)


@pytest.mark.parametrize(("name", "value"), [("model", "ours\n"), ("model", "--help"), ("version", "1\n"), ("version", "one")])
def test_rollback_refuses_what_is_no_name_and_no_number(dag, name, value):
    with pytest.raises(ParamValidationError):
        dag.params.get_param(name).resolve(value)
