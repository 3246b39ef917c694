"""Airflow's REST API: a DAG run and its tasks, as somebody who watches them needs it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from stillhouse.errors import BadConfig, ServiceFailed

ASK_EVERY_S = 0.5
TRIES = 4
PAGE = 100
"""Task instances to one answer: more than a server sends by default, as many as it may."""
ENDED = ("success", "failed")


@dataclass(frozen=True)
class TaskState:
    """One task instance of a DAG run, now. Of a mapped task, each instance is one."""

    name: str
    state: str
    seconds: float
    tries: int
    map_index: int = -1
    pool: str = "cpu"
    slots: int = 1


class AirflowRest:
    """A client with a token, for one DAG. Every call raises ServiceFailed with the server's words if it refuses.

    ``hint`` is what to do about a server that does not answer.
    """

    def __init__(self, url: str, dag: str, hint: str, *, token: str = "", user: str = "", password: str = "") -> None:
        self.url, self.dag, self._hint = url.rstrip("/"), dag, hint
        self._client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        if user:
            token = str(self.call("POST", "/auth/token", {"username": user, "password": password})["access_token"])
        if token:
            self._client.headers["Authorization"] = f"Bearer {token}"

    def state(self, run_id: str) -> str:
        """The run's state: queued, running, success or failed."""
        return str(self.call("GET", self._run(run_id))["state"])

    def latest(self) -> str:
        """The id of the run that started last. Raises BadConfig if the DAG never ran."""
        runs = self.call("GET", f"/api/v2/dags/{quote(self.dag)}/dagRuns?order_by=-run_after&limit=1")["dag_runs"]
        if not runs:
            msg = f"DAG {self.dag} has no run yet; trigger one in Airflow at {self.url}, then watch it"
            raise BadConfig(msg)
        return str(runs[0]["dag_run_id"])

    def tasks(self, run_id: str) -> list[TaskState]:
        """The run's task instances, in no order."""
        tasks: list[TaskState] = []
        while True:
            page = self.call("GET", f"{self._run(run_id)}/taskInstances?limit={PAGE}&offset={len(tasks)}")
            tasks += [_task(instance) for instance in page["task_instances"]]
            if len(page["task_instances"]) < PAGE:
                return tasks

    def order(self) -> list[str]:
        """The DAG's tasks, in topological order."""
        tasks = self.call("GET", f"/api/v2/dags/{quote(self.dag)}/tasks")["tasks"]
        waiting = {task["task_id"]: 0 for task in tasks}
        after = {task["task_id"]: task["downstream_task_ids"] for task in tasks}
        for names in after.values():
            for name in names:
                waiting[name] += 1
        ordered = [name for name, count in waiting.items() if not count]
        for name in ordered:
            for next_name in after[name]:
                waiting[next_name] -= 1
                if not waiting[next_name]:
                    ordered.append(next_name)
        return ordered

    def log(self, run_id: str, task: TaskState) -> list[Any]:
        """The entries of a task's last try: objects with an ``event``, or plain lines."""
        path = f"{self._run(run_id)}/taskInstances/{quote(task.name)}/logs/{task.tries}"
        return list(self.call("GET", f"{path}?full_content=true&map_index={task.map_index}")["content"])

    def page(self, run_id: str) -> str:
        """The run's page for a browser."""
        return f"{self.url}/dags/{quote(self.dag)}/runs/{quote(run_id)}"

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Make one request. Returns the answer; raises ServiceFailed for a refusal."""
        answer = self.send(method, path, body)
        if answer.is_error:
            login = "; check the user and password, or the token" if answer.status_code in {401, 403} else ""
            msg = f"Airflow refused {method} {path.partition('?')[0]} ({answer.status_code}): {_detail(answer)}{login}"
            raise ServiceFailed(msg)
        try:
            return dict(answer.json()) if answer.content else {}
        except ValueError as error:
            msg = f"{self.url} does not answer as Airflow 3 does: {method} {path.partition('?')[0]} gave no JSON; check the address"
            raise ServiceFailed(msg) from error

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """Make one request. A GET is repeated if a busy server does not answer or fails; any other request is made once."""
        tries = TRIES if method == "GET" else 1
        while True:
            tries -= 1
            try:
                answer = self._client.request(method, path, json=body)
            except httpx.TransportError as error:
                if not tries:
                    msg = f"Airflow at {self.url} does not answer ({error}); {self._hint}"
                    raise ServiceFailed(msg) from error
            else:
                if tries == 0 or answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                    return answer
            time.sleep(ASK_EVERY_S)

    def _run(self, run_id: str) -> str:
        return f"/api/v2/dags/{quote(self.dag)}/dagRuns/{quote(run_id)}"


def _task(instance: Mapping[str, Any]) -> TaskState:
    return TaskState(
        instance["task_id"], instance["state"] or "waiting", _seconds(instance), instance["try_number"],
        instance.get("map_index", -1), instance.get("pool", "cpu"), instance.get("pool_slots", 1),
    )  # fmt: skip


def _seconds(instance: Mapping[str, Any]) -> float:
    """How long it took, or takes so far: Airflow states a duration only once a task has ended."""
    started = instance.get("start_date")
    if instance["duration"] is not None or not started or instance.get("end_date"):
        return float(instance["duration"] or 0.0)
    return max((datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds(), 0.0)


def _detail(answer: httpx.Response) -> str:
    """The server's words: FastAPI's ``detail``, else the body's start."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return " ".join(answer.text.split())[:300]


def error_in(entries: list[Any]) -> str:
    """The message of the exception that ended a task, from its log's entries; without one, the last event."""
    last = "no log was written"
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        if entry.get("error_detail"):
            # The first is the error that was raised; those after it are its causes.
            return " ".join(str(entry["error_detail"][0]["exc_value"]).split())
        last = str(entry.get("event", last))
    return last
