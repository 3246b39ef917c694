"""Rows in Parquet: part files of one row type, written whole or not at all, and read as a stream."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from stillhouse.errors import BadRows, MissingInput

PART_ROWS, READ_ROWS = 50_000, 2048
"""Most rows in a part file, to bound a writer's memory and keep scans fast; rows a reader holds at a time (more is not faster)."""
R = TypeVar("R")
PART_BYTES = 64 << 20
"""Text in a part file, roughly: parts of long rows have fewer rows, so that any part fits into memory."""


def write(directory: Path, rows: Iterable[R], row_type: type[R]) -> int:
    """Write rows as part files of at most ``PART_ROWS`` rows, at least one part. Returns the number of rows."""
    directory.mkdir(parents=True, exist_ok=True)
    batch, total, part = list[R](), 0, 0
    for row in rows:
        batch.append(row)
        if len(batch) == PART_ROWS:
            write_part(directory / f"part-{part:05d}.parquet", batch, row_type)
            total, part, batch = total + len(batch), part + 1, []
    if batch or not part:
        write_part(directory / f"part-{part:05d}.parquet", batch, row_type)
    return total + len(batch)


def write_part(path: Path, rows: Sequence[R], row_type: type[R]) -> None:
    """Write rows as one Parquet file, see ``write_table``."""
    write_table(path, table(rows, row_type))


def table(rows: Sequence[R], row_type: type[R]) -> pa.Table:
    """The rows as a table."""
    schema: pa.Schema = row_type.SCHEMA  # type: ignore[attr-defined]
    # Not dataclasses.asdict: it copies nested values one by one and takes ten times as long.
    columns = [pa.array([getattr(row, name) for row in rows], type=schema.field(name).type) for name in schema.names]
    return pa.Table.from_arrays(columns, schema=schema)


def write_table(path: Path, table: pa.Table) -> None:
    """Write one Parquet file whole, then rename it: a file with its final name is never torn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    pq.write_table(table, unfinished, compression="zstd", write_page_checksum=True)
    unfinished.rename(path)


def parts(directory: Path) -> list[Path]:
    """The part files of an artifact, in order, including those of shards but no dropped rows. Raises MissingInput without any."""
    paths = sorted(path for path in directory.rglob("part-*.parquet") if "dropped" not in path.relative_to(directory).parts)
    if not paths:
        msg = f"{directory} has no part-*.parquet: not an artifact of rows; give the URI that a stage or `stillhouse import` wrote"
        raise MissingInput(msg)
    return paths


def count(directory: Path) -> int:
    """The number of rows of an artifact, from the files' footers."""
    return sum(pq.read_metadata(path).num_rows for path in parts(directory))


def read(source: Path, row_type: type[R]) -> Iterator[R]:
    """Stream the rows of an artifact, or of one part, in order. Raises BadRows if a column of the row type is missing."""
    names = [column.name for column in fields(row_type)]  # type: ignore[arg-type]
    for path in [source] if source.is_file() else parts(source):
        file = pq.ParquetFile(path, page_checksum_verification=True)
        check_columns(path, file.schema_arrow.names, names, row_type)
        yield from (row_type(**values) for batch in file.iter_batches(READ_ROWS, columns=names) for values in batch.to_pylist())


def check_columns(path: Path, got: Sequence[str], wanted: Sequence[str], row_type: type[Any]) -> None:
    """Raise BadRows if a part file lacks a column."""
    missing = sorted(set(wanted) - set(got))
    if missing:
        msg = f"{path.name}: no column {', '.join(missing)}; got {', '.join(got)}; is this a {row_type.__name__} artifact?"
        raise BadRows(msg)


class Parts(Generic[R]):
    """Part files ``{prefix}-00000.parquet`` and on of one row type."""

    def __init__(self, directory: Path, row_type: type[R], prefix: str = "part") -> None:
        self.paths: list[Path] = []
        self._directory, self._row_type, self._prefix = directory, row_type, prefix
        self._batch: list[R] = []
        self._bytes = 0

    def add(self, row: R) -> None:
        """Take one row."""
        self._batch.append(row)
        self._bytes += _text_bytes(row)
        if len(self._batch) == PART_ROWS or self._bytes >= PART_BYTES:
            self.flush()

    def close(self) -> None:
        """Write the remaining rows; an artifact without rows gets an empty part."""
        self.flush(empty=not self.paths)

    def flush(self, *, empty: bool = False) -> None:
        """Write the rows taken since the last file; nothing if there are none, unless ``empty``."""
        if not self._batch and not empty:
            return
        path = self._directory / f"{self._prefix}-{len(self.paths):05d}.parquet"
        write_part(path, self._batch, self._row_type)
        self.paths.append(path)
        self._batch, self._bytes = [], 0


class TableParts:
    """Part files made of tables: small tables are concatenated until a file is full."""

    def __init__(self, directory: Path, schema: pa.Schema) -> None:
        self._directory, self._schema = directory, schema
        self._tables: list[pa.Table] = []
        self._n_parts = 0

    def add(self, table: pa.Table) -> None:
        """Take the rows of a table that is no larger than a part."""
        full = sum(waiting.num_rows for waiting in self._tables) + table.num_rows > PART_ROWS
        if self._tables and (full or sum(waiting.nbytes for waiting in self._tables) + table.nbytes > PART_BYTES):
            self.flush()
        self._tables.append(table)

    def flush(self) -> None:
        """Write the rows taken since the last file."""
        table = pa.concat_tables(self._tables) if self._tables else self._schema.empty_table()
        write_table(self._directory / f"part-{self._n_parts:05d}.parquet", table)
        self._n_parts, self._tables = self._n_parts + 1, []


def _text_bytes(row: Any) -> int:
    """About how many bytes a row's texts take."""
    return sum(_size(getattr(row, name)) for name in row.__dataclass_fields__)


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    return sum(len(turn.get("content", "")) for turn in value) if isinstance(value, list) else 0
