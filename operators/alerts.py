"""Alerts: a task that failed for good, or what the reaper deleted, as a line in the log and a POST to ``STILLHOUSE_ALERT_WEBHOOK``.

The body is ``{"text": …}``, which Slack, Mattermost and Teams' workflows take, with the facts as further fields. For
``default_args={"on_failure_callback": alerts.failed}``: Airflow calls it after the last retry.
"""

import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from stillhouse.vocabulary.masking import one_line

VARIABLE = "STILLHOUSE_ALERT_WEBHOOK"
TIMEOUT_S = 10
ERROR_CHARS = 1000

_log = logging.getLogger(__name__)


def failed(context: Any) -> None:
    """Say which task failed and why. A webhook that does not answer is logged, so that it hides no other callback."""
    _tell(logging.ERROR, describe(context))


def reaped(names: Sequence[str]) -> None:
    """Say what the reaper deleted: pods whose end nobody saw."""
    text = f"stillhouse: the reaper deleted {len(names)} objects that no living task owned: {', '.join(names)[:ERROR_CHARS]}"
    _tell(logging.WARNING, {"text": text, "dag": "reaper"})


def describe(context: Any) -> dict[str, str]:
    """The alert: ``text`` for people, the other fields for programs."""
    task, run = context["ti"], context["dag_run"]
    error = context.get("exception")
    why = one_line(error)[:ERROR_CHARS] if isinstance(error, BaseException) else str(error or "no reason given")[:ERROR_CHARS]
    log = str(getattr(task, "log_url", "") or "")
    facts = {"dag": task.dag_id, "run": run.run_id, "task": task.task_id, "log": log, "error": why}
    text = f"stillhouse: {task.task_id} failed in {task.dag_id} {run.run_id} (try {task.try_number}): {why}"
    return {"text": f"{text} {log}".strip(), **facts}


def _tell(level: int, message: dict[str, str]) -> None:
    """Log the text and, where there is a webhook, post the message."""
    _log.log(level, "%s", message["text"])
    url = os.environ.get(VARIABLE)
    if url:
        _post(url, message)


def _post(url: str, message: dict[str, str]) -> None:
    try:
        request = urllib.request.Request(url, json.dumps(message).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):
            pass
    except (OSError, ValueError) as error:
        # The URL stays out of the log: a webhook's address is its password.
        _log.error("the alert could not be posted to %s's URL: %s", VARIABLE, getattr(error, "reason", type(error).__name__))
