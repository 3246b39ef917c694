"""Benchmarks that others publish: their rows from the Hugging Face hub, or from a file of one's own in the same columns.

``DATA`` names the content, because a name on the hub does not: a commit of the data set (40 hex digits), or ``sha256-`` and the
first 12 or more digits of a file's hash. A file is ``{STILLHOUSE_BENCHMARKS}/{name}.jsonl`` or ``.parquet``, a directory or an
``s3://`` prefix; a benchmark that reads several splits has one file with a further column, ``split``.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from stillhouse.artifacts import store
from stillhouse.artifacts.digests import sha256
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.errors import BadConfig, BadRows, MissingInput, one_line
from stillhouse.vocabulary.rows import Question

DATA = re.compile(r"[0-9a-f]{40}|sha256-[0-9a-f]{12,64}")
SUFFIXES = (".jsonl", ".parquet")
VARIABLE = "STILLHOUSE_BENCHMARKS"


class Row(dict[str, Any]):
    """One published row; a column that it lacks raises BadRows."""

    def __missing__(self, column: str) -> Any:
        msg = f"a published row has no column {column!r}, it has {', '.join(self)}; is this the data set's own form?"
        raise BadRows(msg)


@dataclass(frozen=True)
class Published:
    """Where the rows lie, and ``form(rows, source)``: how they become questions."""

    hub: str
    """Name of the data set on the hub."""
    form: Callable[[Iterable[Row], str], Iterator[Question]]
    subset: str | None = None
    splits: tuple[str, ...] = ("test",)
    files: str | None = None
    """Where the data set's own loader is a program, which is not run: its files of JSON lines."""


def read(source: Published, name: str, data: str) -> Iterator[Question]:
    """The questions. Raises BadConfig without ``data``, MissingInput where it cannot be reached, BadRows for other columns."""
    if not data:
        msg = (
            f"benchmark {name} is published by others and its content has to be named: {name}@COMMIT of {source.hub} on the "
            f"Hugging Face hub, or {name}@sha256-DIGEST of {name}.jsonl below {VARIABLE}"
        )
        raise BadConfig(msg)
    rows = _file_rows(name, data) if data.startswith("sha256-") else _hub_rows(source, name, data)
    yield from source.form(rows, name)


def _hub_rows(source: Published, name: str, commit: str) -> Iterator[Row]:
    import datasets

    # Of whichever library it speaks HTTP with.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        for split in source.splits:
            if source.files:
                path = f"hf://datasets/{source.hub}@{commit}/{source.files}"
                found = datasets.load_dataset("json", data_files=path, split="train", streaming=True)
            else:
                found = datasets.load_dataset(source.hub, source.subset, split=split, revision=commit)
            yield from (Row(row, split=split) for row in found)
    except (OSError, ValueError, EOFError, datasets.exceptions.DatasetsError, HTTPError) as error:
        msg = (
            f"benchmark {name}: {source.hub} at {commit} cannot be read from the hub ({one_line(error)[:300]}); check commit, "
            f"network and HF_TOKEN, or put the rows in {name}.jsonl below {VARIABLE} and write {name}@sha256-DIGEST"
        )
        raise MissingInput(msg) from error


def _file_rows(name: str, data: str) -> Iterator[Row]:
    root = os.environ.get(VARIABLE)
    if not root:
        msg = f"benchmark {name}@{data}: {VARIABLE} is not set; let it name the directory or s3:// prefix that holds {name}.jsonl"
        raise MissingInput(msg)
    wanted = [f"{name}{suffix}" for suffix in SUFFIXES]
    there = store.store_of(root)
    found = [each for each in there.names(root) if each in wanted]
    if not found:
        msg = f"benchmark {name}@{data}: neither {' nor '.join(wanted)} lies below {root}; put it there, or name a hub commit"
        raise MissingInput(msg)
    with scratch_directory() as scratch:
        path = there.fetch(root, scratch, found[:1]) / found[0]
        _check(name, data.removeprefix("sha256-"), path)
        yield from _parquet(path) if path.suffix == ".parquet" else _lines(path)


def _check(name: str, digest: str, path: Path) -> None:
    found = sha256(path)
    if not found.startswith(digest):
        msg = f"benchmark {name}: {path.name} has sha256 {found}, sha256-{digest} is named; restore the file, or name this one"
        raise BadConfig(msg)


def _parquet(path: Path) -> Iterator[Row]:
    for batch in pq.ParquetFile(path).iter_batches():
        yield from map(Row, batch.to_pylist())


def _lines(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield Row(json.loads(line))
            except (TypeError, ValueError) as error:
                msg = f"{path.name} line {number}: not an object in JSON ({error}); correct it"
                raise BadRows(msg) from error
