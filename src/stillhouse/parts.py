"""Rows that come one at a time -> part files, each written as soon as it is full."""

from pathlib import Path
from typing import Any, Generic, TypeVar

import pyarrow as pa

from stillhouse import rows

R = TypeVar("R")

PART_BYTES = 64 << 20
"""Text to a part file, roughly: long rows make parts of fewer rows, so that a part fits into memory whatever its rows are."""


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
        if len(self._batch) == rows.PART_ROWS or self._bytes >= PART_BYTES:
            self.flush()

    def close(self) -> None:
        """Write what is left; an artifact without rows has a part too."""
        self.flush(empty=not self.paths)

    def flush(self, *, empty: bool = False) -> None:
        """Write what was taken since the last file, if anything was, or ``empty`` is asked for."""
        if not self._batch and not empty:
            return
        path = self._directory / f"{self._prefix}-{len(self.paths):05d}.parquet"
        rows.write_part(path, self._batch, self._row_type)
        self.paths.append(path)
        self._batch, self._bytes = [], 0


class TableParts:
    """Part files made of tables: small ones are put together until a file is full."""

    def __init__(self, directory: Path, schema: pa.Schema) -> None:
        self._directory, self._schema = directory, schema
        self._tables: list[pa.Table] = []
        self._n_parts = 0

    def add(self, table: pa.Table) -> None:
        """Take the rows of a table that is no larger than a part."""
        full = sum(each.num_rows for each in self._tables) + table.num_rows > rows.PART_ROWS
        if self._tables and (full or sum(each.nbytes for each in self._tables) + table.nbytes > PART_BYTES):
            self.flush()
        self._tables.append(table)

    def flush(self) -> None:
        """Write what was taken since the last file."""
        table = pa.concat_tables(self._tables) if self._tables else self._schema.empty_table()
        rows.write_table(self._directory / f"part-{self._n_parts:05d}.parquet", table)
        self._n_parts, self._tables = self._n_parts + 1, []


def _text_bytes(row: Any) -> int:
    """About how many bytes a row's texts take."""
    return sum(_size(getattr(row, name)) for name in row.__dataclass_fields__)


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    return sum(len(each.get("content", "")) for each in value) if isinstance(value, list) else 0
