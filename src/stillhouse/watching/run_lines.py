"""A DAG run as lines: one for each task, with how far it is, how long the rest takes, and what it cost so far."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from stillhouse.watching.airflow_rest import ENDED, TaskState
from stillhouse.watching.tracked_progress import Progress, TrackedProgress

HIDDEN = ("open_run", "close_run")
HIDDEN_IN_NAMES = ("plan", "shares")
WORST_FIRST = ("failed", "running", "up_for_retry", "queued", "scheduled", "deferred", "waiting")
"""The state of a mapped task is the first of these that an instance has."""


class Scheduler(Protocol):
    """What is asked of Airflow."""

    def tasks(self, run_id: str) -> list[TaskState]:
        """The run's task instances."""

    def order(self) -> list[str]:
        """The DAG's tasks, in topological order."""


@dataclass(frozen=True)
class Line:
    """One task of the run, now. A mapped task is one line."""

    task: TaskState
    progress: Progress | None
    n_done: int = 1
    n_instances: int = 1
    gpu_hours: float = 0.0
    cpu_hours: float = 0.0


class Watch:
    """Reads Airflow and MLflow; remembers what does not change during a run."""

    def __init__(self, airflow: Scheduler, tracked: TrackedProgress, run_id: str) -> None:
        self._airflow, self._tracked, self._run_id = airflow, tracked, run_id
        self._order = airflow.order()
        self.last: list[Line] = []
        """The last result of ``lines``."""

    def lines(self) -> list[Line]:
        """Every task in path order; of those that only book or plan, the ones that failed."""
        instances: dict[str, list[TaskState]] = {}
        for task in self._airflow.tasks(self._run_id):
            instances.setdefault(task.name, []).append(task)
        busy = any(task.state in {"running", "deferred"} for tasks in instances.values() for task in tasks)
        progress = self._tracked.of(self._run_id) if busy else {}
        self.last = [
            line(instances[name], progress) for name in self._order if name in instances and _is_shown(name, instances[name])
        ]
        return self.last


def line(instances: list[TaskState], progress: Mapping[str, list[Progress]]) -> Line:
    """The line of one task's instances, of which an unmapped task has one."""
    worst = min(instances, key=lambda task: WORST_FIRST.index(task.state) if task.state in WORST_FIRST else len(WORST_FIRST))
    seconds = max(task.seconds for task in instances)
    task = TaskState(worst.name, worst.state, seconds, worst.tries, worst.map_index, worst.pool, worst.slots)
    counts = progress.get(task.name) if task.state in {"running", "deferred"} else None
    n_done = sum(instance.state in ENDED for instance in instances)
    return Line(task, _sum(counts), n_done, len(instances), _hours(instances, "gpu"), _hours(instances, "cpu"))


def _sum(counts: Iterable[Progress] | None) -> Progress | None:
    """The shards of a stage count together."""
    shares = list(counts or ())
    if not shares:
        return None
    return Progress(*(sum(values) for values in zip(*((share.done, share.total, share.rate) for share in shares), strict=True)))


def _hours(instances: list[TaskState], pool: str) -> float:
    """Hours times the pool's slots, which are GPUs or cores."""
    return sum(task.seconds * task.slots for task in instances if task.pool == pool) / 3600


def _is_shown(name: str, instances: list[TaskState]) -> bool:
    books = name in HIDDEN or name.rpartition(".")[2].split("-")[0] in HIDDEN_IN_NAMES
    return not books or any(task.state == "failed" for task in instances)
