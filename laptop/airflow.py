"""The few calls to Airflow's REST API that the demo needs."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from laptop.settings import Laptop
from stillhouse.errors import ServiceFailed

PARSED_WITHIN_S = 120.0
ASK_EVERY_S = 0.5
TRIES = 4
ENDED = ("success", "failed")


@dataclass(frozen=True)
class Task:
    """One task of a DAG run, now."""

    name: str
    state: str
    seconds: float
    tries: int


class Airflow:
    """A client with a token, for one DAG. Every call raises ServiceFailed with the server's words if it refuses."""

    def __init__(self, laptop: Laptop, dag: str) -> None:
        self.dag = dag
        self._client = httpx.Client(base_url=laptop.airflow_url, timeout=30, trust_env=False)
        login = {"username": "admin", "password": laptop.secrets["admin_password"]}
        self._client.headers["Authorization"] = f"Bearer {self._call('POST', '/auth/token', login)['access_token']}"

    def make_pool(self, name: str, slots: int) -> None:
        """Make the pool, or give it this many slots."""
        pool = {"name": name, "slots": slots, "include_deferred": True, "description": "cores of this machine"}
        if self._send("GET", f"/api/v2/pools/{name}").status_code == httpx.codes.NOT_FOUND:
            self._call("POST", "/api/v2/pools", pool)
        else:
            self._call("PATCH", f"/api/v2/pools/{name}", pool)

    def wait_for_dag(self, since: str) -> None:
        """Wait until the DAG file has been parsed after ``since`` (ISO time). Raises ServiceFailed with the import error."""
        deadline = time.monotonic() + PARSED_WITHIN_S
        while time.monotonic() < deadline:
            answer = self._send("GET", f"/api/v2/dags/{self.dag}")
            if answer.is_success and (answer.json()["last_parsed_time"] or "") > since and not answer.json()["has_import_errors"]:
                return
            errors = self._call("GET", "/api/v2/importErrors")["import_errors"]
            fresh = [error for error in errors if error["timestamp"] > since]
            if fresh:
                msg = f"{fresh[0]['filename']} does not load: {fresh[0]['stack_trace'].strip().splitlines()[-1]}"
                raise ServiceFailed(msg)
            time.sleep(ASK_EVERY_S)
        msg = f"Airflow made no DAG {self.dag} within {PARSED_WITHIN_S:.0f} s; look into the log of dag-processor"
        raise ServiceFailed(msg)

    def unfinished(self) -> list[str]:
        """Runs of the DAG that have not ended, by id."""
        runs = self._call("GET", f"/api/v2/dags/{self.dag}/dagRuns?state=running&state=queued&limit=100")["dag_runs"]
        return [run["dag_run_id"] for run in runs]

    def give_up(self, run_id: str) -> None:
        """Mark a run failed; Airflow ends its running tasks."""
        self._call("PATCH", f"/api/v2/dags/{self.dag}/dagRuns/{run_id}", {"state": "failed"})

    def trigger(self, run_id: str, conf: Mapping[str, Any]) -> None:
        """Start a run."""
        self._call("POST", f"/api/v2/dags/{self.dag}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)})

    def state(self, run_id: str) -> str:
        """The run's state: queued, running, success or failed."""
        return str(self._call("GET", f"/api/v2/dags/{self.dag}/dagRuns/{run_id}")["state"])

    def tasks(self, run_id: str) -> list[Task]:
        """The run's tasks, in no order."""
        tasks = self._call("GET", f"/api/v2/dags/{self.dag}/dagRuns/{run_id}/taskInstances?limit=100")["task_instances"]
        return [Task(task["task_id"], task["state"] or "waiting", task["duration"] or 0.0, task["try_number"]) for task in tasks]

    def order(self) -> list[str]:
        """The DAG's tasks, in topological order."""
        tasks = self._call("GET", f"/api/v2/dags/{self.dag}/tasks")["tasks"]
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

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        answer = self._send(method, path, body)
        if answer.is_error:
            try:
                detail = answer.json().get("detail")
            except ValueError:
                detail = answer.text
            msg = f"Airflow refused {method} {path.partition('?')[0]} ({answer.status_code}): {detail}"
            raise ServiceFailed(msg)
        return dict(answer.json()) if answer.content else {}

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """Make one request. A GET is repeated if a busy server does not answer or fails; any other request is made once."""
        tries = TRIES if method == "GET" else 1
        while True:
            tries -= 1
            try:
                answer = self._client.request(method, path, json=body)
            except httpx.TransportError as error:
                if not tries:
                    msg = f"Airflow at {self._client.base_url} does not answer ({error}); `make down` and try again"
                    raise ServiceFailed(msg) from error
            else:
                if tries == 0 or answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                    return answer
            time.sleep(ASK_EVERY_S)
