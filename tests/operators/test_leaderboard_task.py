import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG

from operators import leaderboard_task, parent, roles
from operators.params import Form
from stillhouse.execution import profiles
from stillhouse.execution.profiles import ReachedModel, ServedModel, TrainedModel
from tests.conftest import free_port

FACTS = [
    {"name": "questions", "stage": "questions", "gpus": 0, "served_gpus": 0, "role": ""},
    {"name": "responses-large", "stage": "responses", "gpus": 1, "served_gpus": 4, "role": ""},
    {"name": "report-sft", "stage": "report", "gpus": 2, "served_gpus": 0, "role": "sft"},
]
STARTED = datetime(2026, 11, 24, 2, tzinfo=UTC)


@pytest.fixture
def profile():
    return profiles.load("toy")


def context(planned=None, **params):
    run = SimpleNamespace(dag_id="toy", run_id="manual__1", start_date=STARTED, run_after=STARTED)
    ti = SimpleNamespace(xcom_pull=lambda task_ids: planned)
    return {"params": {"version": "v1"} | params, "dag_run": run, "ti": ti}


def macros(profile, form=None, defaults=None):
    return leaderboard_task.macros(profile, FACTS, form or Form(), defaults or {})


def test_facts_name_every_artifact_with_its_role_and_gpus(profile, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_STORE", "s3://b")
    run = json.loads(macros(profile)["run_facts"](context()))
    assert run["tasks"] == {
        "questions": {"uri": "s3://b/questions/toy/v1", "role": "", "gpus": 0},
        "responses-large": {"uri": "s3://b/responses/toy-large/v1", "role": "", "gpus": 5},
        "report-sft": {"uri": "s3://b/report/toy-sft/v1", "role": "sft", "gpus": 2},
    }
    assert (run["profile"], run["run"], run["pipeline"], run["dag_run"]) == ("toy", "v1", "retrain", "manual__1")
    assert run["started"] == "2026-11-24T02:00:00+00:00"
    assert run["models"]["large"] == "task:sft-large"


def test_facts_have_the_gpus_that_the_form_chose(profile, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_STORE", "s3://b")
    chosen = json.dumps({"resources": {"nvidia.com/gpu": "8", "cpu": "64"}, "nodes": 2})
    form = {"placing": lambda _, name: chosen if name == "responses-large" else ""}
    tasks = json.loads(macros(profile)["run_facts"](context() | form))["tasks"]
    assert (tasks["responses-large"]["gpus"], tasks["report-sft"]["gpus"]) == (8 * 2 + 4, 2)


def test_facts_of_an_evaluation_are_its_planned_reports(profile, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_STORE", "s3://b")
    planned = [
        {"target": f"s3://b/report/{model}-{name}/v1", "inputs": {"checkpoint": model}}
        for model in ("a", "b")
        for name in ("x", "y")
    ]
    tasks = json.loads(macros(profile)["run_facts"](context(planned)))["tasks"]
    roles_of = {task["uri"]: task["role"] for name, task in tasks.items() if name.startswith("report-") and name != "report-sft"}
    assert roles_of == {
        "s3://b/report/a-x/v1": "checkpoint-1", "s3://b/report/a-y/v1": "checkpoint-1",
        "s3://b/report/b-x/v1": "checkpoint-2", "s3://b/report/b-y/v1": "checkpoint-2",
    }  # fmt: skip
    one = json.loads(macros(profile)["run_facts"](context(planned[:2])))["tasks"]
    assert {one["report-0"]["role"], one["report-1"]["role"]} == {"checkpoint"}


def test_facts_hold_no_dollar_sign_that_kubernetes_would_expand(profile, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_STORE", "s3://b")
    text = macros(profile)["run_facts"](context(version="$(HOME)"))
    assert "$" not in text
    assert json.loads(text)["run"] == "$(HOME)"


def test_params_are_models_seeds_and_what_the_form_changed(profile):
    form = Form()
    form.add("sft-1", "@toy/sft-1")
    form.add("responses-large", "@toy/responses-large")
    values = form.sections["sft-1"].values
    defaults = {"version": None, "sft_1__learning_rate": values["learning_rate"], "sft_1__seed": values["seed"], "empty": None}
    entered = {"sft_1__learning_rate": 0.5, "sft_1__seed": 7, "empty": [], "unknown": 1}
    params = macros(profile, form, defaults)["run_params"](context(**entered))
    assert (params["form/sft_1__learning_rate"], params["form/sft_1__seed"], params["seed/sft-1"]) == ("0.5", "7", "7")
    assert {name for name in params if name.startswith("form/")} == {"form/sft_1__learning_rate", "form/sft_1__seed"}
    assert (params["profile"], params["version"], params["model/large"]) == ("toy", "v1", "sft-large")
    assert params["seed/responses-large"] == str(form.sections["responses-large"].values["seed"])


def test_params_and_tags_of_a_papers_profile_name_its_paper(monkeypatch):
    known = {"run_params": macros(profiles.load("deepdistill-32b"))["run_params"]}
    calls = []
    monkeypatch.setattr(parent.mlflow_rest, "experiment", lambda name, page: "7")
    monkeypatch.setattr(parent.mlflow_rest, "log", lambda run, params: calls.append(params))
    monkeypatch.setattr(parent.mlflow_rest, "call", lambda path, body: calls.append(body) or {"run": {"info": {"run_id": "r"}}})
    dag = SimpleNamespace(dag_id="deepdistill-32b", user_defined_macros=known, description="", params={})
    assert parent._create(context() | {"dag": dag}) == "r"
    created, params = calls
    assert {tag["key"]: tag["value"] for tag in created["tags"]}["paper"] == params["paper"] == "arXiv 2504.17565"


def test_params_hold_no_secret(profile):
    defaults = {"sft_1__note": None}
    params = macros(profile, None, defaults)["run_params"](context(sft_1__note="https://me:hunter2@host/x"))
    assert "hunter2" not in params["form/sft_1__note"]


def test_models_are_named_in_words():
    models = {
        "student": "hf://org/m@1", "small": TrainedModel(recipe="sft-small"), "large": ServedModel(serve="hf://org/big@2"),
        "judge": ReachedModel(name="j", endpoint="http://h:1/v1"), "reward": ReachedModel(name="r"),
    }  # fmt: skip
    assert roles.references(models) == {
        "student": "hf://org/m@1", "small": "task:sft-small", "large": "hf://org/big@2", "judge": "j at http://h:1/v1",
        "reward": "r at STILLHOUSE_ENDPOINTS",
    }  # fmt: skip


def test_task_is_a_teardown_with_the_runs_facts():
    with DAG("d") as dag:
        leaderboard_task.task(parent.open_run())
    task = dag.get_task("leaderboard")
    assert (task.is_teardown, task.upstream_task_ids) == (True, {"open_run"})
    assert task.cmds[1:] == ["leaderboard", "{{ store_root() }}", "--run", "{{ run_facts() }}"]


def test_experiments_page_links_to_the_dag_and_the_newest_run(monkeypatch):
    from airflow.configuration import conf

    monkeypatch.setattr(conf, "get", lambda *_, **__: "http://airflow.example.org/")
    dag = SimpleNamespace(dag_id="toy", description="the whole path")
    monkeypatch.setenv("STILLHOUSE_MLFLOW_URL", "http://m")
    text = parent.experiment_page(dag, {"info": {"run_id": "r1", "experiment_id": "1"}})
    assert text.startswith("the whole path\n\n[DAG in Airflow](http://airflow.example.org/dags/toy)")
    assert "(http://m/#/experiments/1/runs/r1/artifacts/leaderboard.html?workflowType=machine_learning)" in text


def test_hours_of_a_dag_whose_plan_lists_evaluations_are_not_asked_for(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    assert parent._log_what_it_took("r1", [{"target": "s3://b/report/a/v1"}]) is None
