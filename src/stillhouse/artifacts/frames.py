"""Artifacts as polars frames, for stages with too many rows to hold in memory or to handle one by one."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from stillhouse.artifacts import tables
from stillhouse.vocabulary.rows import Dropped

if TYPE_CHECKING:
    import polars as pl

FETCH_ROWS = 8192
"""Rows of text decoded at a time."""
FRAME_BYTES = 256 * 2**20
"""Bytes after which a part is written even if it has fewer rows: bounds the memory of a writer of long texts."""
WRITERS = 2
"""Parts encoded at a time."""


def scan(
    directories: Path | Sequence[Path], row_type: type[Any], columns: Sequence[str], row_number: str | None = None
) -> "pl.LazyFrame":
    """These columns of one or more artifacts, in the rows' order, lazily. Raises BadRows if a column is missing.

    ``row_number`` names an extra column with each row's number over all artifacts, as ``fetch`` takes it.
    """
    import polars as pl

    paths = part_files(directories)
    for path in paths:
        tables.check_columns(path, pq.read_schema(path).names, columns, row_type)
    frame = pl.scan_parquet(paths, glob=False, extra_columns="ignore", row_index_name=row_number)
    return frame.select(*columns, *([row_number] if row_number else []))


def fetch(directories: Path | Sequence[Path], places: "pl.Series", columns: Sequence[str]) -> "Iterator[pl.DataFrame]":
    """The columns of the rows with these numbers, which ascend, batch by batch: for a few texts out of too many to hold."""
    return _gathered(_selected(directories, places, columns), FETCH_ROWS)


def _selected(directories: Path | Sequence[Path], places: "pl.Series", columns: Sequence[str]) -> "Iterator[pl.DataFrame]":
    """The rows of ``fetch``, in frames of any size."""
    import numpy as np
    import polars as pl

    wanted, first = places.to_numpy(), 0
    for path in part_files(directories):
        file = pq.ParquetFile(path, page_checksum_verification=True)
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
    several = [directories] if isinstance(directories, Path) else directories
    return [path for directory in several for path in tables.parts(directory)]


def write(directory: Path, batches: "Iterable[pl.DataFrame]", row_type: type[Any]) -> int:
    """Write frames as part files of at most ``tables.PART_ROWS`` rows, at least one part. Returns the number of rows."""
    schema: pa.Schema = row_type.SCHEMA
    waiting: deque[Future[int]] = deque()
    part = total = 0

    def encode(path: Path, frame: "pl.DataFrame") -> int:
        tables.write_table(path, frame.to_arrow().select(schema.names).cast(schema))
        return frame.height

    # Encoding takes most of a writer's time, so it runs while the next frames are made.
    with ThreadPoolExecutor(WRITERS) as pool:
        for part, frame in enumerate(_gathered(batches, tables.PART_ROWS)):
            waiting.append(pool.submit(encode, directory / f"part-{part:05d}.parquet", frame))
            while len(waiting) > WRITERS:
                total += waiting.popleft().result()
        total += sum(encoded.result() for encoded in waiting)
    if not total:
        tables.write_table(directory / f"part-{part:05d}.parquet", schema.empty_table())
    return total


def _gathered(batches: "Iterable[pl.DataFrame]", n_rows: int) -> "Iterator[pl.DataFrame]":
    """The same rows in frames of ``n_rows``, or fewer if their texts are long."""
    import polars as pl

    waiting: list[pl.DataFrame] = []
    height, size = 0, 0.0
    for batch in (frame.slice(at, n_rows) for frame in batches for at in range(0, frame.height, n_rows)):
        waiting.append(batch)
        height, size = height + batch.height, size + batch.estimated_size()
        if height >= n_rows or size >= FRAME_BYTES:
            whole = pl.concat(waiting)
            yield whole.head(n_rows)
            rest = whole.slice(n_rows)
            waiting, height, size = [rest] if rest.height else [], rest.height, rest.estimated_size()
    if waiting:
        yield pl.concat(waiting)


def dropped(rows_left: "pl.DataFrame", reason: "str | pl.Expr", key: str = "question_id") -> "pl.DataFrame":
    """The records of dropped input rows, by this key. A column ``n`` of ``rows_left`` says how many rows a record stands for."""
    import polars as pl

    n = pl.col("n") if "n" in rows_left.columns else pl.lit(1)
    empty = {name: pl.lit("") for name in ("detail", "row")}
    return rows_left.select(
        key=key, reason=pl.lit(reason) if isinstance(reason, str) else reason, **empty, n=n.cast(pl.Int32)
    )  # fmt: skip


def write_dropped(directory: Path, records: "Iterable[pl.DataFrame]") -> Counter[str]:
    """Write the records of ``dropped``. Returns the number of rows they stand for, by reason."""
    import polars as pl

    counts: Counter[str] = Counter()

    def counted() -> "Iterator[pl.DataFrame]":
        for record in records:
            counts.update(dict(record.group_by("reason").agg(pl.col("n").cast(pl.Int64).sum()).iter_rows()))
            yield record

    write(directory, counted(), Dropped)
    return counts
