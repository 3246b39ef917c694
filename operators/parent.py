"""The MLflow run above the stages' runs: opened when a DAG run starts, closed when it ends."""

import logging
import time
from typing import Any

from airflow.sdk import get_current_context, setup, task, teardown
from airflow.sdk.exceptions import AirflowFailException

from operators import airflow_pages, mlflow_rest
from operators.params import unknown_keys
from operators.retries import Outage
from operators.templates import Template

OPEN, CLOSE, CHECK, PLAN = "open_run", "close_run", "check", "plan"
LAST = (CLOSE, "leaderboard")
"""The tasks whose failure fails no run."""
TRIES = 4
"""Tries to open the run before the stages start without it: about two minutes."""
RUN_ID = Template(f"{{{{ ti.xcom_pull(task_ids='{OPEN}') or '' }}}}")
"""The template of the parent run's id, for the stages' environment."""

_log = logging.getLogger(__name__)


def open_run() -> Any:
    """The set-up task: it hands on the run's id."""
    return setup(task(task_id=OPEN)(_open))()


def check() -> Any:
    """The first task of a DAG that has no run in MLflow: it refuses a conf with unknown keys."""
    return task(task_id=CHECK)(_check)()


def close_run(opened: Any) -> Any:
    """The teardown task of ``open_run``'s."""
    # Decorated anew for every DAG: a decorated teardown cannot be used twice in one process.
    return teardown(task(task_id=CLOSE)(_close))(opened)


def _open() -> str:
    """Check what the form holds, and open the run, named after profile and version; empty if ``MLFLOW_TRACKING_URI`` is not set.

    If MLflow is still away at the last of ``TRIES``, the stages run without a parent: tracking stops no work.
    """
    context: Any = get_current_context()
    _refuse_wrong_conf(context)
    if not mlflow_rest.server():
        return ""
    try:
        return _create(context)
    except Outage as error:
        if context["ti"].try_number < TRIES:
            raise
        _log.warning("%s; the stages are tracked without a parent run", error)
        return ""


def _check() -> None:
    """Check what the form holds."""
    _refuse_wrong_conf(get_current_context())


def _refuse_wrong_conf(context: Any) -> None:
    """Raise AirflowFailException, before anything is computed, for unknown keys and for values that no stage would take."""
    dag, conf = context["dag"], context["dag_run"].conf or {}
    form = (getattr(dag, "user_defined_macros", None) or {}).get("form")
    fields = list(dag.params)
    wrong = form.problems(conf, context["params"], fields) if form else unknown_keys(conf, fields)
    if wrong:
        raise AirflowFailException("; ".join(wrong))


def _create(context: Any) -> str:
    """The new run, with what Airflow knows of it: what people compare runs by."""
    dag_run, dag = context["dag_run"], context.get("dag")
    facts = (getattr(dag, "user_defined_macros", None) or {}).get("run_params")
    params = facts(context) if facts else {"profile": dag_run.dag_id}
    tags = {name: params[name] for name in ("pipeline", "paper", "version") if params.get(name)}
    tags |= {"mlflow.source.name": dag_run.dag_id, "airflow.run_id": dag_run.run_id, "profile": dag_run.dag_id}
    body = {
        "experiment_id": mlflow_rest.experiment(dag_run.dag_id, experiment_page(dag)),
        "run_name": f"{dag_run.dag_id} {params.get('version', dag_run.run_id)}",
        "start_time": now_ms(),
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }
    run_id = str(mlflow_rest.call("runs/create", body)["run"]["info"]["run_id"])
    mlflow_rest.log(run_id, params)
    return run_id


def experiment_page(dag: Any, run: dict[str, Any] | None = None) -> str:
    """The experiment's description: what the profile is, and links to its DAG and to the newest run's page."""
    if dag is None:
        return ""
    links = [f"[DAG in Airflow]({page})"] if (page := airflow_pages.of(dag.dag_id)) else []
    if run:
        names = {"newest run's page": "run.html", "leaderboard": "leaderboard.html"}
        links += [f"[{name}]({mlflow_rest.page(run, file)})" for name, file in names.items()]
    title = getattr(dag, "description", None) or ""
    return "\n\n".join(filter(None, [title, " · ".join(links), "A run is one run of the DAG; below it are its stages."]))


def _close(parent_run: str) -> None:
    """Close the run: FINISHED if every other task of the DAG run succeeded, else FAILED."""
    if not parent_run:
        return
    context: Any = get_current_context()
    dag_run, ti = context["dag_run"], context["ti"]
    states = ti.get_task_states(dag_id=dag_run.dag_id, run_ids=[dag_run.run_id])[dag_run.run_id]
    failed = [name for name, state in states.items() if name not in LAST and state not in {"success", "skipped"}]
    _log_what_it_took(parent_run, ti.xcom_pull(task_ids=PLAN))
    mlflow_rest.call("runs/update", {"run_id": parent_run, "status": "FAILED" if failed else "FINISHED", "end_time": now_ms()})
    run = mlflow_rest.call(f"runs/get?run_id={parent_run}")["run"]
    mlflow_rest.experiment(dag_run.dag_id, experiment_page(context.get("dag"), run))


def _log_what_it_took(parent_run: str, plan: Any) -> None:
    """Print what the stages took which this run made itself, beside what was planned, and log the sums."""
    if not isinstance(plan, dict):
        return  # a DAG without a plan, or one whose task of that name lists evaluations
    from stillhouse.api import forecast  # here: parsing a DAG file needs no store

    taken = forecast.took(plan["expected"])
    print(taken.as_text())
    mlflow_rest.log(parent_run, metrics=taken.totals())


def now_ms() -> int:
    """The time, in milliseconds."""
    return int(time.time() * 1000)
