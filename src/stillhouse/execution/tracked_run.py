"""A stage's run as the stage sees it: progress on standard error, numbers and results into a spool."""

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from stillhouse.execution import progress_bar
from stillhouse.execution.live_metrics import LIVE
from stillhouse.execution.run_spool import Record, RunSpool
from stillhouse.vocabulary import metric_names
from stillhouse.vocabulary.masking import masked, one_line

if TYPE_CHECKING:
    from stillhouse.artifacts.manifest import Manifest

PROGRESS_EVERY_S = 2.0
TABLE = ".table.json"
"""The suffix of an artifact that MLflow shows as a table: {"columns": [...], "data": [[...], ...]}."""


class Run(Protocol):
    """Where a stage's numbers go while it runs."""

    @property
    def id(self) -> str | None:
        """The run's id on the server, None until it has one."""

    def progress(self, done: float, total: float, unit: str) -> None:
        """How far the stage is."""

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Numbers over time."""

    def claimed(self) -> None:
        """The output is this run's alone now: earlier tries of it are over."""

    def finish(self, manifest: "Manifest", artifacts: Sequence[Path]) -> None:
        """The published result."""


class Untracked:
    """A run that shows its progress on standard error and is kept nowhere."""

    id: str | None = None

    def __init__(self) -> None:
        self._shown = 0.0

    def progress(self, done: float, total: float, unit: str) -> None:
        """Print a line at most every ``PROGRESS_EVERY_S``; on a terminal with a bar, over the last one."""
        now = time.monotonic()
        if now - self._shown < PROGRESS_EVERY_S and done < total:
            return
        self._shown = now
        LIVE.progress(done, total)
        progress_bar.show(done, total, unit)

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Show the numbers to who asks this process for them; no server keeps them."""
        LIVE.log(metrics)

    def claimed(self) -> None:
        """Nothing: there are no earlier runs."""

    def finish(self, manifest: "Manifest", artifacts: Sequence[Path]) -> None:
        """Nothing: the manifest is the record."""


class Tracked(Untracked):
    """A run that is written to a spool. Progress is kept as the metrics ``progress/done`` and ``progress/total``."""

    def __init__(self, spool: RunSpool, output: str) -> None:
        super().__init__()
        self._spool, self._output = spool, output
        self._progress_at = 0.0
        self._curves: set[str] = set()
        """Metrics recorded by step: their last point is the result, and another one at step 0 would bend the curve."""
        self.n_lost = 0
        """Records that the disk refused."""

    @property
    def id(self) -> str | None:  # type: ignore[override]
        """See Run."""
        run_id = self._spool.header.get("run_id")
        return str(run_id) if run_id else None

    def progress(self, done: float, total: float, unit: str) -> None:
        """Print, and record at most every ``PROGRESS_EVERY_S``."""
        super().progress(done, total, unit)
        now = time.monotonic()
        if now - self._progress_at >= PROGRESS_EVERY_S or done >= total:
            self._progress_at = now
            self._metrics({"progress/done": done, "progress/total": total}, 0, now_ms())

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record the numbers. MLflow refuses those that are not finite: they are left out."""
        super().log(metrics, step)
        if step is not None:
            self._curves |= metrics.keys()
        self._metrics(metrics, step or 0, now_ms())

    def claimed(self) -> None:
        """Have the runs of killed tries of this output closed."""
        self.record({"kind": "close_others", "output": self._output})

    def finish(self, manifest: "Manifest", artifacts: Sequence[Path]) -> None:
        """Record the result's numbers, its rows and drops, and the files worth a look.

        The numbers carry the time of the manifest, so that the same result may be recorded again and is still one point.
        """
        counts = {"n_rows": float(manifest.rows)} | {f"dropped/{reason}": float(n) for reason, n in manifest.dropped.items()}
        numbers = {name: value for name, value in manifest.metrics.items() if name not in self._curves}
        self._metrics(counts | numbers, 0, milliseconds(manifest))
        self.keep(artifacts)
        tables = [{"path": path.name, "type": "table"} for path in artifacts if path.name.endswith(TABLE)]
        if tables:
            self.record({"kind": "tags", "values": {"mlflow.loggedArtifacts": json.dumps(tables)}})
        self.text("manifest.json", manifest.model_dump_json(indent=1))

    def keep(self, files: Sequence[Path]) -> None:
        """Copies of files, as artifacts of the run."""
        for path in files:
            with self._counted():
                self._spool.append({"kind": "artifact", "file": self._spool.keep_file(path)})

    def text(self, name: str, text: str) -> None:
        """A text as an artifact of the run, without secrets."""
        self.record({"kind": "text", "name": name, "text": masked(text)})

    def record(self, record: Record) -> None:
        """Add a record to the spool. If the disk refuses it, the record is lost, not the stage."""
        with self._counted():
            self._spool.append(record)

    def _metrics(self, metrics: Mapping[str, float], step: int, at: int) -> None:
        finite = {masked(metric_names.plain(name)): float(value) for name, value in metrics.items() if math.isfinite(value)}
        if finite:
            self.record({"kind": "metrics", "at": at, "step": step, "values": finite})

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.n_lost += 1
            if self.n_lost == 1:
                say(f"tracking: {one_line(error)}; numbers are lost until the disk takes them again")


def milliseconds(manifest: "Manifest") -> int:
    """When the artifact was finished, as MLflow counts time."""
    return round(manifest.provenance.finished.timestamp() * 1000)


def now_ms() -> int:
    """The time as MLflow counts it."""
    return round(time.time() * 1000)


def say(line: str) -> None:
    """One line about tracking on standard error."""
    print(f"  {masked(line)}", file=sys.stderr, flush=True)
