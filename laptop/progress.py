"""How far each stage of a run is: its task in Airflow, its run in MLflow."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from laptop.airflow import Airflow, Task
from laptop.settings import Laptop

EXPERIMENT = "stillhouse"
HIDDEN = ("open_run", "plan", "close_run")


@dataclass(frozen=True)
class Progress:
    """A running stage's own count."""

    done: float
    total: float

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total else 0.0


@dataclass(frozen=True)
class Line:
    """One stage of the run, now."""

    task: Task
    progress: Progress | None


class Watch:
    """Reads both servers; remembers what does not change during a run."""

    def __init__(self, laptop: Laptop, airflow: Airflow, run_id: str) -> None:
        self._airflow, self._run_id = airflow, run_id
        self._mlflow = httpx.Client(base_url=f"{laptop.mlflow_url}/api/2.0/mlflow", timeout=10, trust_env=False)
        self._order = airflow.order()
        self._experiment = ""
        self._parent = ""
        self.last: list[Line] = []
        """The last result of ``lines``."""

    def lines(self) -> list[Line]:
        """Every stage in path order; of the other tasks those that failed."""
        tasks = {task.name: task for task in self._airflow.tasks(self._run_id)}
        busy = any(task.state == "running" for task in tasks.values())
        progress = self._progress() if busy else {}
        shown = [tasks[name] for name in self._order if name in tasks and (name not in HIDDEN or tasks[name].state == "failed")]
        self.last = [Line(task, progress.get(task.name)) for task in shown]
        return self.last

    def _progress(self) -> dict[str, Progress]:
        """By task. A tracking server that does not answer costs the bars, not the run."""
        try:
            return dict(self._running())
        except httpx.HTTPError:
            return {}

    def _running(self) -> list[tuple[str, Progress]]:
        if not self._experiment:
            answer = self._mlflow.get("/experiments/get-by-name", params={"experiment_name": EXPERIMENT}).raise_for_status()
            self._experiment = answer.json()["experiment"]["experiment_id"]
        if not self._parent:
            parents = self._search(f"tags.`airflow.run_id` = '{self._run_id}'")
            if not parents:
                return []
            self._parent = parents[0]["info"]["run_id"]
        runs = self._search(f"tags.`mlflow.parentRunId` = '{self._parent}' and attributes.status = 'RUNNING'")
        # Newest first; a run that was cut off stays RUNNING and must not hide the task's next try.
        return [(_task_of(run), _progress_of(run)) for run in reversed(runs)]

    def _search(self, condition: str) -> list[dict]:  # type: ignore[type-arg]
        body = {"experiment_ids": [self._experiment], "filter": condition, "max_results": 50}
        return list(self._mlflow.post("/runs/search", json=body).raise_for_status().json().get("runs", ()))


def _task_of(run: Mapping[str, dict]) -> str:  # type: ignore[type-arg]
    """``…/sft/laptop-anneal/demo`` -> ``sft-anneal``: the artifact's URI names the task."""
    tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", ())}
    stage, name, _ = tags.get("uri", "//").rsplit("/", 3)[-3:]
    return f"{stage}{''.join(name.partition('-')[1:])}"


def _progress_of(run: Mapping[str, dict]) -> Progress:  # type: ignore[type-arg]
    metrics = {metric["key"]: metric["value"] for metric in run["data"].get("metrics", ())}
    return Progress(metrics.get("progress/done", 0.0), metrics.get("progress/total", 0.0))


def log_of(laptop: Laptop, dag: str, run_id: str, task: Task) -> Path:
    """Where Airflow wrote the task's last try."""
    logs = laptop.airflow_home / "logs" / f"dag_id={dag}" / f"run_id={run_id}"
    return logs / f"task_id={task.name}" / f"attempt={task.tries}.log"


def error_in(log: Path) -> str:
    """The message of the exception that ended the task; the log's last line without one."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    last = "no log was written"
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if not isinstance(entry, dict):
            continue
        if entry.get("error_detail"):
            # The first is the error that was raised; those after it are its causes.
            return " ".join(str(entry["error_detail"][0]["exc_value"]).split())
        last = str(entry.get("event", last))
    return last
