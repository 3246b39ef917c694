"""The few calls to MLflow's REST API that the control side makes, without mlflow.

``MLFLOW_TRACKING_URI`` names the server, ``MLFLOW_TRACKING_USERNAME`` and ``…_PASSWORD`` log in. ``STILLHOUSE_MLFLOW_URL`` is the
address by which browsers reach it, if that differs.
"""

import json
import os
import urllib.error
import urllib.request
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

from airflow.sdk.exceptions import AirflowFailException

from operators.retries import Outage, passes

EXPERIMENT = "stillhouse"
TIMEOUT_S = 30


def server() -> str:
    """The server's address; empty if nothing is tracked."""
    return os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")


def pages() -> str:
    """The server's address for browsers."""
    return os.environ.get("STILLHOUSE_MLFLOW_URL", "").rstrip("/") or server()


def experiment() -> str:
    """The id of the experiment ``MLFLOW_EXPERIMENT_NAME``; created if it does not exist."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    created = call("experiments/create", {"name": name}, unless="RESOURCE_ALREADY_EXISTS")
    if created:
        return str(created["experiment_id"])
    return str(call(f"experiments/get-by-name?{urlencode({'experiment_name': name})}")["experiment"]["experiment_id"])


def call(path: str, body: dict[str, Any] | None = None, unless: str | None = None) -> dict[str, Any]:
    """Make one request. Returns an empty answer if the server refuses with the error code ``unless``.

    Raises AirflowFailException for any other refusal, Outage if the server does not answer or fails.
    """
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | _login()
    request = urllib.request.Request(f"{server()}/api/2.0/mlflow/{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        words = " ".join(error.read().decode(errors="replace").split())
        if unless and unless in words:
            return {}
        msg = f"MLflow at {server()} refused {path.partition('?')[0]} ({error.code}): {words[:300]}"
        raise (Outage if passes(error) else AirflowFailException)(msg) from error
    except OSError as error:
        msg = f"MLflow at {server()} did not answer: {error}; check MLFLOW_TRACKING_URI and that the server runs"
        raise Outage(msg) from error


def _login() -> dict[str, str]:
    """Basic authentication if ``MLFLOW_TRACKING_USERNAME`` is set, as in MLflow's own client."""
    user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"} if user else {}
