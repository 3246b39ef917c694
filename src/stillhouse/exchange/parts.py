"""Rows handed over one by one -> part files: for a reader that makes several artifacts in one go."""

from pathlib import Path
from typing import Any

from stillhouse import rows

PART_BYTES = 64 * 2**20
"""Text held before it is written: one response may be a hundred kilobytes."""
LONG = ("text", "think", "test_cases", "row")
"""Columns that may be long."""


class Parts:
    """The part files of one artifact, written as they fill."""

    def __init__(self, directory: Path, row_type: type[Any]) -> None:
        """Nothing is written before the first part is full, or ``close``."""
        self.directory, self.row_type = directory, row_type
        self.long = [name for name in LONG if name in row_type.SCHEMA.names]
        self.held: list[Any] = []
        self.held_bytes = self.written = 0

    def add(self, row: Any) -> None:
        """Take a row."""
        self.held.append(row)
        for name in self.long:
            self.held_bytes += len(getattr(row, name) or "")
        if len(self.held) == rows.PART_ROWS or self.held_bytes > PART_BYTES:
            self._write()

    def close(self) -> None:
        """Write the last part; an artifact without rows has one too."""
        if self.held or not self.written:
            self._write()

    def _write(self) -> None:
        rows.write_part(self.directory / f"part-{self.written:05d}.parquet", self.held, self.row_type)
        self.held, self.held_bytes, self.written = [], 0, self.written + 1
