"""The MLflow run above the stages' runs: opened when a DAG run starts, closed when it ends."""

import logging
import time
from typing import Any

from airflow.sdk import get_current_context, setup, task, teardown
from airflow.sdk.exceptions import AirflowFailException

from operators import mlflow_rest
from operators.retries import Outage
from operators.templates import Template

OPEN, CLOSE = "open_run", "close_run"
TRIES = 4
"""Tries to open the run before the stages start without it: about two minutes."""
RUN_ID = Template(f"{{{{ ti.xcom_pull(task_ids='{OPEN}') or '' }}}}")
"""The template of the parent run's id, for the stages' environment."""

_log = logging.getLogger(__name__)


def open_run() -> Any:
    """The set-up task: it hands on the run's id."""
    return setup(task(task_id=OPEN)(_open))()


def close_run(opened: Any) -> Any:
    """The teardown task of ``open_run``'s."""
    # Decorated anew for every DAG: a decorated teardown cannot be used twice in one process.
    return teardown(task(task_id=CLOSE)(_close))(opened)


def _open() -> str:
    """Check what the form holds, and open the run, named after the DAG run; empty if ``MLFLOW_TRACKING_URI`` is not set.

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


def _refuse_wrong_conf(context: Any) -> None:
    """Raise AirflowFailException, before anything is computed, for unknown keys and for values that no stage would take."""
    dag = context.get("dag")
    form = (getattr(dag, "user_defined_macros", None) or {}).get("form")
    if form is None:
        return  # a DAG that is no profile's
    wrong = form.problems(context["dag_run"].conf or {}, context["params"], list(dag.params))
    if wrong:
        raise AirflowFailException("; ".join(wrong))


def _create(context: Any) -> str:
    dag_run = context["dag_run"]
    tags = {"mlflow.source.name": dag_run.dag_id, "airflow.run_id": dag_run.run_id, "profile": dag_run.dag_id}
    body = {
        "experiment_id": mlflow_rest.experiment(),
        "run_name": f"{dag_run.dag_id} {dag_run.run_id}",
        "start_time": now_ms(),
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }
    return str(mlflow_rest.call("runs/create", body)["run"]["info"]["run_id"])


def _close(parent_run: str) -> None:
    """Close the run: FINISHED if every other task of the DAG run succeeded, else FAILED."""
    if not parent_run:
        return
    context: Any = get_current_context()
    dag_run, ti = context["dag_run"], context["ti"]
    states = ti.get_task_states(dag_id=dag_run.dag_id, run_ids=[dag_run.run_id])[dag_run.run_id]
    failed = [name for name, state in states.items() if name != CLOSE and state not in {"success", "skipped"}]
    _log_what_it_took(parent_run, ti.xcom_pull(task_ids="plan"))
    mlflow_rest.call("runs/update", {"run_id": parent_run, "status": "FAILED" if failed else "FINISHED", "end_time": now_ms()})


def _log_what_it_took(parent_run: str, plan: dict[str, Any] | None) -> None:
    """Beside the plan's metrics, the hours that the stages took which this run made itself."""
    if not plan:
        return
    from stillhouse.api import forecast  # here: parsing a DAG file needs no store

    metrics = forecast.took(plan["uris"], plan["reused"]) | {"plan/hours": plan["hours"]}
    logged = [{"key": name, "value": value, "timestamp": now_ms(), "step": 0} for name, value in metrics.items()]
    mlflow_rest.call("runs/log-batch", {"run_id": parent_run, "metrics": logged})


def now_ms() -> int:
    """The time, in milliseconds."""
    return int(time.time() * 1000)
