"""Artifacts as polars frames: for stages whose rows are too many to hold, or to look at one by one."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from stillhouse import rows

if TYPE_CHECKING:
    import polars as pl


def scan(directories: Path | Sequence[Path], row_type: type[Any], columns: Sequence[str]) -> "pl.LazyFrame":
    """These columns of the rows of one or more artifacts, in order, lazily. Raises BadRows where a column is missing."""
    import polars as pl

    paths = part_files(directories)
    for path in paths:
        rows.check_columns(path, pq.read_schema(path).names, columns, row_type)
    return pl.scan_parquet(paths, glob=False, extra_columns="ignore").select(columns)


def part_files(directories: Path | Sequence[Path]) -> list[Path]:
    """The part files of one or more artifacts, in order."""
    listed = [directories] if isinstance(directories, Path) else directories
    return [path for directory in listed for path in rows.parts(directory)]


def write(directory: Path, frames: "Iterable[pl.DataFrame]", row_type: type[Any], start: int = 0) -> int:
    """Write frames as part files of at most ``rows.PART_ROWS`` rows, at least one part. Returns the number of rows."""
    part, total = start, 0
    for frame in frames:
        for offset in range(0, frame.height, rows.PART_ROWS):
            _write_part(directory, part, frame.slice(offset, rows.PART_ROWS).to_arrow(), row_type.SCHEMA)
            part += 1
        total += frame.height
    if part == start:
        _write_part(directory, part, row_type.SCHEMA.empty_table(), row_type.SCHEMA)
    return total


def _write_part(directory: Path, part: int, table: pa.Table, schema: pa.Schema) -> None:
    rows.write_table(directory / f"part-{part:05d}.parquet", table.select(schema.names).cast(schema))


def dropped(frame: "pl.DataFrame", row_type: type[Any], reason: "str | pl.Expr") -> "pl.DataFrame":
    """The records of dropped rows: their key, why, and of the row itself what the frame holds of its columns, as JSON."""
    import polars as pl

    held = [name for name in row_type.SCHEMA.names if name in frame.columns]
    return frame.select(
        key=pl.concat_str(row_type.KEY, separator="/"), reason=pl.lit(reason) if isinstance(reason, str) else reason,
        detail=pl.lit(""), row=pl.struct(held).struct.json_encode(),
    )  # fmt: skip
