"""How far the stages of a DAG run are, as their runs in MLflow say."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from stillhouse.artifacts.naming import split_shard
from stillhouse.execution import run_status

CHILDREN = 1000
"""Runs below one parent that are looked at: a mapped task has one for each shard."""


@dataclass(frozen=True)
class Progress:
    """A stage's own count, in its own unit (rows, samples, steps)."""

    done: float
    total: float
    rate: float = 0.0
    """Per second, since its first rows or steps were seen: a stage's start says nothing about the rest."""

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds that the rest takes at this rate; None where that is not known."""
        return max(self.total - self.done, 0.0) / self.rate if self.rate and self.total else None


class TrackedProgress:
    """Reads one MLflow server; remembers what does not change during a run. Without an address it knows nothing."""

    def __init__(self, url: str, dag: str, headers: Mapping[str, str] | None = None) -> None:
        self._dag = dag
        is_server = url.startswith(("http://", "https://"))
        base = f"{url.rstrip('/')}/api/2.0/mlflow"
        self._client = httpx.Client(base_url=base, timeout=10, trust_env=False, headers=headers) if is_server else None
        self._url = url.rstrip("/")
        self._experiments: list[str] = []
        self._parent = ""
        self.page = ""
        """The page of the DAG run's own run, once it is known."""
        self._first: dict[str, tuple[float, float]] = {}

    def of(self, dag_run: str) -> dict[str, list[Progress]]:
        """Progress of what runs now, by task; a mapped task has several. A server that does not answer costs the bars, not more."""
        try:
            return self._running(dag_run) if self._client else {}
        except (httpx.HTTPError, ValueError, KeyError):
            return {}

    def _running(self, dag_run: str) -> dict[str, list[Progress]]:
        if not self._parent:
            # Asked until the run is there: its experiment may be made with it.
            experiments = self._post("experiments/search", {"max_results": 1000}).get("experiments", ())
            self._experiments = [experiment["experiment_id"] for experiment in experiments]
            parents = self._search(f"tags.`airflow.run_id` = '{dag_run}' and tags.profile = '{self._dag}'", 1)
            if not parents:
                return {}
            self._parent = parents[0]["info"]["run_id"]
            self.page = run_status.address_of(self._url, parents[0]["info"]["experiment_id"], self._parent)
        runs = self._search(f"tags.`mlflow.parentRunId` = '{self._parent}' and attributes.status = 'RUNNING'", CHILDREN)
        newest: dict[str, Any] = {}
        # Newest first; a run that was cut off stays RUNNING and must not hide its artifact's next try.
        for run in reversed(runs):
            newest[_uri(run)] = run
        progress: dict[str, list[Progress]] = {}
        for uri, run in newest.items():
            progress.setdefault(_task_of(uri, self._dag), []).append(self._progress(run))
        return progress

    def _progress(self, run: Mapping[str, Any]) -> Progress:
        metrics = {metric["key"]: metric["value"] for metric in run["data"].get("metrics", ())}
        done, total, now = metrics.get("progress/done", 0.0), metrics.get("progress/total", 0.0), time.monotonic()
        if not done:
            return Progress(done, total)
        since, before = self._first.setdefault(run["info"]["run_id"], (now, done))
        return Progress(done, total, (done - before) / (now - since) if done > before else 0.0)

    def _search(self, condition: str, n: int) -> list[dict[str, Any]]:
        body = {"experiment_ids": self._experiments, "filter": condition, "max_results": n}
        return list(self._post("runs/search", body).get("runs", ()))

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        assert self._client is not None
        return dict(self._client.post(f"/{path}", json=body).raise_for_status().json())


def _uri(run: Mapping[str, Any]) -> str:
    """The artifact that a run makes."""
    return str({tag["key"]: tag["value"] for tag in run["data"].get("tags", ())}.get("uri", ""))


def _task_of(uri: str, dag: str) -> str:
    """``…/sft/laptop-anneal/demo`` -> ``sft-anneal``: a profile's artifacts are named after its DAG and the task."""
    stage, name, _ = f"///{split_shard(uri)[0]}".rsplit("/", 3)[-3:]
    return f"{stage}{name.removeprefix(dag)}"
