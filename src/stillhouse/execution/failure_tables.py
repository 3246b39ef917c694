"""Small tables for MLflow of what did not go well in a stage: rows that it dropped, by reason, and responses it could not judge."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stillhouse.execution.tracked_run import TABLE, say
from stillhouse.vocabulary.masking import masked, one_line
from stillhouse.vocabulary.rows import FAILED
from stillhouse.vocabulary.text import shortened

DROPPED, FAILURES = f"dropped{TABLE}", f"failures{TABLE}"
MOST_ROWS, MOST_OF_A_REASON = 200, 20
READ_ROWS = 50_000
"""Dropped rows that are looked at: there may be millions."""
MOST_CHARS = 500
_VERDICT = ("question_id", "model", "sample_index", "kind", "method", "detail", "seconds")
_RECORD = ("reason", "key", "detail", "n", "row")


def written(output: Path, metrics: Mapping[str, float], directory: Path) -> list[Path]:
    """The tables of a stage's output that have rows, written into a directory. A full disk costs the tables, not the stage."""
    try:
        tables = {DROPPED: _dropped(output / "dropped")}
        if sum(metrics.get(f"n_{kind}", 0.0) for kind in FAILED):
            tables[FAILURES] = _failures(output)
        return [_write(directory / name, rows) for name, rows in tables.items() if rows]
    except OSError as error:
        say(f"tracking: {one_line(error)}; no table of dropped rows")
        return []


def _dropped(directory: Path) -> list[Mapping[str, Any]]:
    """The first records of each reason."""
    by_reason: Counter[str] = Counter()
    shown: list[Mapping[str, Any]] = []
    for number, record in enumerate(_records(directory)):
        if number == READ_ROWS or len(shown) == MOST_ROWS:
            break
        by_reason[record["reason"]] += 1
        if by_reason[record["reason"]] <= MOST_OF_A_REASON:
            shown.append(record)
    return shown


def _records(directory: Path) -> Iterator[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    for path in sorted(directory.rglob("part-*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(1000, columns=list(_RECORD)):
            yield from batch.to_pylist()


def _failures(output: Path) -> list[Mapping[str, Any]]:
    """The first responses that the verifier failed on."""
    import pyarrow.parquet as pq

    shown: list[Mapping[str, Any]] = []
    for path in sorted(output.glob("part-*.parquet")):
        if "kind" not in pq.read_schema(path).names:
            return []
        if set(FAILED).isdisjoint(pq.read_table(path, columns=["kind"])["kind"].unique().to_pylist()):
            continue
        shown += pq.read_table(path, columns=list(_VERDICT), filters=[("kind", "in", list(FAILED))]).to_pylist()
        if len(shown) >= MOST_ROWS:
            break
    return shown[:MOST_ROWS]


def _write(path: Path, rows: list[Mapping[str, Any]]) -> Path:
    """The rows in the form that MLflow shows as a table."""
    cells = [[_cell(value) for value in row.values()] for row in rows]
    path.write_text(json.dumps({"columns": list(rows[0]), "data": cells}), encoding="utf-8")
    return path


def _cell(value: Any) -> Any:
    return masked(shortened(value, MOST_CHARS)) if isinstance(value, str) else value
