"""``metrics.jsonl`` beside the weights: every number of every step, one JSON object a line, whether or not a server tracks the run.

It is written as the training goes, copied into every checkpoint, and taken up from there by the next try.
"""

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"


def append(directory: Path, step: int, metrics: Mapping[str, float]) -> None:
    """Add a line: the step, the time, and the metrics by their names in MLflow; one that is not finite is null."""
    finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
    line = {"step": step, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **finite}
    with (directory / METRICS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read(directory: Path) -> Iterator[dict[str, Any]]:
    """The lines, in order; none if the file is not there."""
    path = directory / METRICS
    if path.is_file():
        with path.open(encoding="utf-8") as file:
            yield from map(json.loads, file)


def copy(source: Path, target: Path) -> None:
    """Copy the file to another directory, if it is there."""
    if (source / METRICS).is_file():
        shutil.copyfile(source / METRICS, target / METRICS)
