"""Artifacts as polars frames: for stages whose rows are too many to hold, or to look at one by one."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from stillhouse import rows
from stillhouse.rows import Dropped

if TYPE_CHECKING:
    import polars as pl

FETCH_ROWS = 8192
"""Rows of texts that are decoded, and handed out, at a time."""
PART_BYTES = 256 * 2**20
"""Bytes after which a part is written though it has fewer rows: bounds the memory of a writer of long texts."""


def scan(
    directories: Path | Sequence[Path], row_type: type[Any], columns: Sequence[str], place: str | None = None
) -> "pl.LazyFrame":
    """These columns of the rows of one or more artifacts, in order, lazily. Raises BadRows where a column is missing.

    ``place`` names one more column: the row's place among all of them, as ``fetch`` takes it.
    """
    import polars as pl

    paths = part_files(directories)
    for path in paths:
        rows.check_columns(path, pq.read_schema(path).names, columns, row_type)
    found = pl.scan_parquet(paths, glob=False, extra_columns="ignore", row_index_name=place)
    return found.select(*columns, *([place] if place else []))


def fetch(directories: Path | Sequence[Path], places: "pl.Series", columns: Sequence[str]) -> "Iterator[pl.DataFrame]":
    """The columns of the rows at these places, ascending, batch by batch: for texts, of which few are wanted and none fit."""
    return _gathered(_fetched(directories, places, columns), FETCH_ROWS)


def _fetched(directories: Path | Sequence[Path], places: "pl.Series", columns: Sequence[str]) -> "Iterator[pl.DataFrame]":
    """What ``fetch`` gives, in frames as small as they come."""
    import numpy as np
    import polars as pl

    wanted, first = places.to_numpy(), 0
    for path in part_files(directories):
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            end = first + file.metadata.row_group(group).num_rows
            begin, stop = np.searchsorted(wanted, [first, end])
            for batch in file.iter_batches(FETCH_ROWS, row_groups=[group], columns=list(columns)) if stop > begin else ():
                begin, stop = np.searchsorted(wanted, [first, first + len(batch)])
                if stop > begin:
                    yield pl.DataFrame(batch.take(pa.array(wanted[begin:stop] - first)))
                first += len(batch)
            first = end


def part_files(directories: Path | Sequence[Path]) -> list[Path]:
    """The part files of one or more artifacts, in order."""
    listed = [directories] if isinstance(directories, Path) else directories
    return [path for directory in listed for path in rows.parts(directory)]


def write(directory: Path, batches: "Iterable[pl.DataFrame]", row_type: type[Any]) -> int:
    """Write frames as part files of at most ``rows.PART_ROWS`` rows, at least one part. Returns the number of rows."""
    schema: pa.Schema = row_type.SCHEMA
    part = total = 0
    for part, frame in enumerate(_gathered(batches, rows.PART_ROWS)):
        rows.write_table(directory / f"part-{part:05d}.parquet", frame.to_arrow().select(schema.names).cast(schema))
        total += frame.height
    if not total:
        rows.write_table(directory / f"part-{part:05d}.parquet", schema.empty_table())
    return total


def _gathered(batches: "Iterable[pl.DataFrame]", n_rows: int) -> "Iterator[pl.DataFrame]":
    """The same rows in frames of ``n_rows``, or fewer where they are long texts."""
    import polars as pl

    waiting: list[pl.DataFrame] = []
    height, size = 0, 0.0
    for batch in (whole.slice(at, n_rows) for whole in batches for at in range(0, whole.height, n_rows)):
        waiting.append(batch)
        height, size = height + batch.height, size + batch.estimated_size()
        if height >= n_rows or size >= PART_BYTES:
            made = pl.concat(waiting)
            yield made.head(n_rows)
            rest = made.slice(n_rows)
            waiting, height, size = [rest] if rest.height else [], rest.height, rest.estimated_size()
    if waiting:
        yield pl.concat(waiting)


def dropped(rows_left: "pl.LazyFrame", row_type: type[Any], reason: "str | pl.Expr") -> "pl.LazyFrame":
    """The records of dropped rows: their key, why, and what is held of the row itself, as JSON, unless that is its key alone."""
    import polars as pl

    key = list(row_type.KEY)
    held = [name for name in rows_left.collect_schema().names() if name in row_type.SCHEMA.names]
    return rows_left.select(
        key=pl.concat_str(key, separator="/"), reason=pl.lit(reason) if isinstance(reason, str) else reason, detail=pl.lit(""),
        row=pl.struct(held).struct.json_encode() if set(held) - set(key) else pl.lit(""),
    )  # fmt: skip


def write_dropped(directory: Path, records: "Iterable[pl.LazyFrame]") -> Counter[str]:
    """Write the records of ``dropped``, and count them by reason."""
    counts: Counter[str] = Counter()

    def counted() -> "Iterator[pl.DataFrame]":
        for record in records:
            for batch in record.collect_batches(maintain_order=True):
                counts.update(dict(batch.group_by("reason").len().iter_rows()))
                yield batch

    write(directory, counted(), Dropped)
    return counts
