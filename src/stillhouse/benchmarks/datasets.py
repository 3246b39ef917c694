"""The questions of a benchmark: generated here, or read from the Hugging Face hub or from a file with the hub's columns.

A file is ``{STILLHOUSE_BENCHMARKS}/{name}.jsonl`` or ``.parquet``; the variable names a directory or an ``s3://`` prefix. For a
data set with several splits, the one file has an extra column, ``split``.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from stillhouse import sources
from stillhouse.artifacts import store
from stillhouse.artifacts.digests import sha256
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.benchmarks import adapters, livecodebench
from stillhouse.benchmarks.adapters import DatasetRow
from stillhouse.benchmarks.definitions import VARIABLE, AdapterName, Benchmark, HubDataset, bare_name, definition, pinned
from stillhouse.errors import BadConfig, BadRows, MissingInput
from stillhouse.exchange.bad_rows import Bad
from stillhouse.exchange.files import objects
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.rows import Question

SUFFIXES = (".jsonl", ".parquet")
MAX_LINE_BYTES = 2**30
"""Longest line read: the hidden tests of one LiveCodeBench problem take many megabytes."""

DatasetAdapter = Callable[[Iterable[DatasetRow], str], Iterator[Question]]
"""``adapter(rows, name)`` yields the questions of the benchmark ``name``, which goes into their ``source`` column."""

ADAPTERS: dict[AdapterName, DatasetAdapter] = {
    "problems": adapters.problems,
    "gsm8k": adapters.gsm8k,
    "ifeval": adapters.ifeval,
    "gpqa": adapters.gpqa,
    "mmlu": adapters.mmlu,
    "livecodebench": livecodebench.questions,
}


def questions(name: str) -> list[Question]:
    """The benchmark's questions, without worked responses.

    Raises BadConfig with the nearest name on a typo, and for a published benchmark without its data's pin; MissingInput if the data
    cannot be reached; BadRows if it has other columns.
    """
    try:
        full = pinned(name)
    except ValueError as error:
        raise BadConfig(str(error)) from error
    return [replace(row, original_response=None) for row in _rows(definition(full), full) if isinstance(row, Question)]


def _rows(benchmark: Benchmark, full: str) -> Iterable[object]:
    """Questions, and the rows that a generated source dropped."""
    if isinstance(benchmark.source, HubDataset):
        return read(benchmark.source, bare_name(full), full.partition(":")[2])
    if callable(benchmark.source):
        return benchmark.source()
    return sources.read(benchmark.source)


def read(dataset: HubDataset, name: str, data: str) -> Iterator[Question]:
    """The questions of a published data set at the commit or digest ``data``.

    Raises BadConfig without ``data``, MissingInput if it cannot be reached, BadRows if the columns differ from the hub's.
    """
    if not data:
        msg = (
            f"benchmark {name} is published by others and its data has no pin; write {name}@COMMIT of {dataset.name} on the "
            f"Hugging Face hub, or {name}@sha256-DIGEST of {name}.jsonl below {VARIABLE}"
        )
        raise BadConfig(msg)
    if data.startswith("sha256-"):
        rows = _file_rows(name, data)
    else:
        # The data sets' library takes seconds to load: benchmarks that are generated or in a file do without it.
        from stillhouse.benchmarks.hub import hub_rows

        rows = hub_rows(dataset, name, data)
    yield from ADAPTERS[dataset.adapter](rows, name)


def _file_rows(name: str, data: str) -> Iterator[DatasetRow]:
    root = environment.text(VARIABLE)
    if not root:
        msg = f"benchmark {name}@{data}: {VARIABLE} is not set; set it to the directory or s3:// prefix that holds {name}.jsonl"
        raise MissingInput(msg)
    candidates = [f"{name}{suffix}" for suffix in SUFFIXES]
    root_store = store.store_of(root)
    files = [file for file in root_store.names(root) if file in candidates]
    if not files:
        msg = f"benchmark {name}@{data}: no {' or '.join(candidates)} below {root}; put it there, or name a commit on the hub"
        raise MissingInput(msg)
    with scratch_directory() as scratch:
        path = root_store.fetch(root, scratch, files[:1]) / files[0]
        _check_digest(name, data.removeprefix("sha256-"), path)
        yield from _published_rows(path)


def _check_digest(name: str, digest: str, path: Path) -> None:
    actual = sha256(path)
    if not actual.startswith(digest):
        msg = (
            f"benchmark {name}: {path.name} has sha256 {actual}, the config pins sha256-{digest}; restore the file, or pin this one"
        )
        raise BadConfig(msg)


def _published_rows(path: Path) -> Iterator[DatasetRow]:
    for number, row in objects(path, MAX_LINE_BYTES):
        if isinstance(row, Bad):
            msg = f"{path.name} line {number}: not a JSON object ({row.detail}); correct the line"
            raise BadRows(msg)
        yield DatasetRow(row)
