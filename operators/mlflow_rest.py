"""The few calls to MLflow's REST API that the control side makes, without mlflow.

``MLFLOW_TRACKING_URI`` names the server, ``MLFLOW_TRACKING_USERNAME`` and ``…_PASSWORD`` log in. ``STILLHOUSE_MLFLOW_URL`` is the
address by which browsers reach it, if that differs.
"""

import json
import os
import time
import urllib.error
import urllib.request
from base64 import b64encode
from typing import Any
from urllib.parse import quote, urlencode

from airflow.sdk.exceptions import AirflowFailException

from operators.retries import Outage, passes

TIMEOUT_S = 30
VIEW = "workflowType=machine_learning"
"""Has MLflow's pages show what trained models need, whatever view the browser had last."""
KIND_TAG, KIND = "mlflow.experimentKind", "custom_model_development"
NOTE_TAG, OURS_TAG = "mlflow.note.content", "stillhouse.description"
"""The description, as Markdown, and the one that we wrote last: where they differ, a person wrote it."""


def server() -> str:
    """The server's address; empty if nothing is tracked."""
    return os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")


def pages() -> str:
    """The server's address for browsers."""
    return os.environ.get("STILLHOUSE_MLFLOW_URL", "").rstrip("/") or server()


def page(run: dict[str, Any], artifact: str = "") -> str:
    """The page of a run, or of one of its artifacts, in MLflow's view of trained models."""
    info, below = run["info"], f"/artifacts/{quote(artifact)}" if artifact else ""
    return f"{pages()}/#/experiments/{info['experiment_id']}/runs/{info['run_id']}{below}?{VIEW}"


def experiment(name: str, description: str = "") -> str:
    """The id of a profile's experiment, which has the profile's name; created if it does not exist.

    Its kind makes MLflow open it in the view of trained models. ``description`` is Markdown; one that a person wrote stays.
    """
    tags = {KIND_TAG: KIND, NOTE_TAG: description, OURS_TAG: description}
    created = call("experiments/create", {"name": name, "tags": _pairs(tags)}, unless="RESOURCE_ALREADY_EXISTS")
    if created:
        return str(created["experiment_id"])
    found = call(f"experiments/get-by-name?{urlencode({'experiment_name': name})}")["experiment"]
    if description:
        _describe(found, tags)
    return str(found["experiment_id"])


def _describe(found: dict[str, Any], tags: dict[str, str]) -> None:
    """Set the kind and the description of an experiment where they differ, unless a person changed them."""
    now = {tag["key"]: tag["value"] for tag in found.get("tags", [])}
    if now.get(NOTE_TAG, "") != now.get(OURS_TAG, ""):
        tags = {KIND_TAG: tags[KIND_TAG]}
    if now.get(KIND_TAG, KIND) != KIND:
        tags.pop(KIND_TAG)
    for key, value in tags.items():
        if now.get(key) != value:
            call("experiments/set-experiment-tag", {"experiment_id": found["experiment_id"], "key": key, "value": value})


def _pairs(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items() if value]


def log(run_id: str, params: dict[str, str] | None = None, metrics: dict[str, float] | None = None) -> None:
    """Add params and metrics to a run."""
    at = int(time.time() * 1000)
    numbers = [{"key": name, "value": value, "timestamp": at, "step": 0} for name, value in (metrics or {}).items()]
    call("runs/log-batch", {"run_id": run_id, "params": _pairs(params or {}), "metrics": numbers})


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
