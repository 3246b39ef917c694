"""Ask MLflow about a run by one plain request: importing mlflow takes over a second, and most skips need no more."""

import json
import urllib.request
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

from stillhouse.vocabulary import environment

TIMEOUT_S = 5.0
VIEW = "workflowType=machine_learning"
"""Has MLflow's pages show what trained models need, whatever view the browser had last."""


def is_finished(run_id: str) -> bool:
    """Whether the server says so; False also if it cannot be asked this way: then ``mlflow_runs`` asks with mlflow."""
    return _info(run_id).get("status") == "FINISHED"


def page(run_id: str) -> str:
    """The run's page, at the address by which browsers reach the server; empty if it cannot be asked this way."""
    experiment = _info(run_id).get("experiment_id")
    return address_of(_pages(), str(experiment), run_id) if experiment else ""


def address_of(server: str, experiment: str, run_id: str) -> str:
    """The page of a run of an experiment, by its id, on a server."""
    return f"{server}/#/experiments/{experiment}/runs/{run_id}?{VIEW}"


def _pages() -> str:
    return (environment.text("STILLHOUSE_MLFLOW_URL") or environment.text("MLFLOW_TRACKING_URI")).rstrip("/")


def _info(run_id: str) -> dict[str, Any]:
    """What the server says about a run; empty if it cannot be asked this way."""
    address = environment.text("MLFLOW_TRACKING_URI").rstrip("/")
    if not address.startswith(("http://", "https://")):
        return {}
    request = urllib.request.Request(f"{address}/api/2.0/mlflow/runs/get?{urlencode({'run_id': run_id})}", headers=login())
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return dict(json.load(answer)["run"]["info"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def login() -> dict[str, str]:
    """The header that mlflow's client would send."""
    if token := environment.text("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    user, password = environment.text("MLFLOW_TRACKING_USERNAME"), environment.text("MLFLOW_TRACKING_PASSWORD")
    return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"} if user and password else {}
