"""The MLflow run above the stages' runs: opened when a DAG run starts, closed when it ends. Plain REST, no mlflow here."""

import json
import os
import time
import urllib.error
import urllib.request
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

from airflow.sdk import get_current_context, setup, task, teardown
from airflow.sdk.exceptions import AirflowException

EXPERIMENT = "stillhouse"
TIMEOUT_S = 30
OPEN, CLOSE = "open_run", "close_run"
RUN_ID = f"{{{{ ti.xcom_pull(task_ids='{OPEN}') or '' }}}}"
"""The template of the parent run's id, for the stages' environment."""


def open_run() -> Any:
    """The set-up task: it hands on the run's id."""
    return setup(task(task_id=OPEN)(_open))()


def close_run(opened: Any) -> Any:
    """The teardown task of ``open_run``'s."""
    # Decorated anew for every DAG: a decorated teardown cannot be used twice in one process.
    return teardown(task(task_id=CLOSE)(_close))(opened)


def _open() -> str:
    """Open the run, named after the DAG run; empty where ``MLFLOW_TRACKING_URI`` is not set."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return ""
    context: Any = get_current_context()
    dag_run = context["dag_run"]
    profile = str(context["params"].get("profile"))
    tags = {"mlflow.source.name": dag_run.dag_id, "airflow.run_id": dag_run.run_id, "profile": profile}
    body = {
        "experiment_id": _experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)),
        "run_name": f"{dag_run.dag_id} {dag_run.run_id}",
        "start_time": _now_ms(),
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }
    return str(_call("runs/create", body)["run"]["info"]["run_id"])


def _close(parent_run: str) -> None:
    """Close the run: FINISHED where every other task of the DAG run succeeded, else FAILED."""
    if not parent_run:
        return
    context: Any = get_current_context()
    dag_run, ti = context["dag_run"], context["ti"]
    states = ti.get_task_states(dag_id=dag_run.dag_id, run_ids=[dag_run.run_id])[dag_run.run_id]
    failed = [name for name, state in states.items() if name != CLOSE and state not in {"success", "skipped"}]
    _call("runs/update", {"run_id": parent_run, "status": "FAILED" if failed else "FINISHED", "end_time": _now_ms()})


def _experiment(name: str) -> str:
    """The experiment's id; made if there is none."""
    made = _call("experiments/create", {"name": name}, unless="RESOURCE_ALREADY_EXISTS")
    if made:
        return str(made["experiment_id"])
    return str(_call(f"experiments/get-by-name?{urlencode({'experiment_name': name})}")["experiment"]["experiment_id"])


def _call(path: str, body: dict[str, Any] | None = None, unless: str | None = None) -> dict[str, Any]:
    """One request; empty where it is refused with the error code ``unless``. Raises AirflowException where it fails otherwise."""
    server = os.environ["MLFLOW_TRACKING_URI"].rstrip("/")
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | _login()
    request = urllib.request.Request(f"{server}/api/2.0/mlflow/{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        said = " ".join(error.read().decode(errors="replace").split())
        if unless and unless in said:
            return {}
        msg = f"MLflow at {server} refused {path.partition('?')[0]} ({error.code}): {said[:300]}"
        raise AirflowException(msg) from error
    except OSError as error:
        msg = f"MLflow at {server} did not answer: {error}; check MLFLOW_TRACKING_URI and that the server runs"
        raise AirflowException(msg) from error


def _login() -> dict[str, str]:
    """Basic authentication where ``MLFLOW_TRACKING_USERNAME`` is set, as MLflow's own client does it."""
    user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"} if user else {}


def _now_ms() -> int:
    return int(time.time() * 1000)
