"""Rows in whatever form a notebook has them -> an artifact's directory that a stage can read."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from stillhouse.artifacts import tables
from stillhouse.errors import BadRows
from stillhouse.exchange import files
from stillhouse.exchange.bad_rows import Bad, Object
from stillhouse.exchange.checked_rows import CHECKED, Problems, checked_rows

Rows = str | Path | pl.DataFrame | Iterable[Any]
"""A path or URI of JSON Lines or Parquet, a frame, or dicts and row objects; of row objects, those of ``vocabulary.rows``."""


def write_rows(rows: Rows, row_type_name: str, directory: Path) -> Path:
    """Check the rows and write them as an artifact's part files; returns ``directory``.

    Raises BadRows naming the first bad rows, counted from 1, or if there are no rows; MissingInput for a missing file;
    TypeError for anything that is not rows.
    """
    problems = Problems()
    written = tables.write(directory, checked_rows(_numbered(rows, row_type_name), row_type_name, problems), CHECKED[row_type_name])
    if problems.count:
        msg = f"{row_type_name}: {problems.text}; correct these rows"
        raise BadRows(msg)
    if not written:
        msg = f"{row_type_name}: no rows; give at least one"
        raise BadRows(msg)
    return directory


def _numbered(rows: Rows, row_type_name: str) -> Iterator[tuple[int, Object | Bad]]:
    if isinstance(rows, str | Path):
        with files.local(str(rows)) as path:
            yield from files.objects(path)
        return
    if isinstance(rows, pl.DataFrame):
        rows = rows.iter_rows(named=True)
    if isinstance(rows, Mapping) or not isinstance(rows, Iterable):
        msg = f"{row_type_name}: a {type(rows).__name__} is not rows; give a list of dicts, a polars frame or a path of JSON Lines"
        raise TypeError(msg)
    for number, row in enumerate(rows, start=1):
        yield number, _values(row, row_type_name, number)


def _values(row: Any, row_type_name: str, number: int) -> Object:
    """The row as a mapping of columns."""
    if isinstance(row, Mapping):
        return dict(row)
    if dataclasses.is_dataclass(row) and not isinstance(row, type):
        return {column.name: getattr(row, column.name) for column in dataclasses.fields(row)}
    msg = f"{row_type_name}: row {number} is a {type(row).__name__}; give a dict of columns or a row object"
    raise TypeError(msg)
