"""The part files of one kind of row, in one order over several artifacts, read by the column and only where they are needed."""

import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import PurePosixPath

import polars as pl

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import store
from stillhouse.artifacts.manifest import Manifest
from stillhouse.errors import MissingInput, StoreFailed

ROW, PART = "_row", "_part"
"""Columns beside those of the rows: a row's number in its part, and the part's number in its table."""
CACHED_PARTS = 48
"""Parts whose key columns are kept in memory, of at most 50,000 rows each."""


CACHED_MANIFESTS = 64


@dataclass(frozen=True)
class PartFile:
    """One part: a local path or an ``s3://`` URI, and its number of rows."""

    place: str
    n_rows: int

    def scan(self) -> pl.LazyFrame:
        """Its rows, lazily: polars reads only the columns and the pages that a query needs."""
        options = _s3_options() if self.place.startswith("s3://") else None
        return pl.scan_parquet(self.place, glob=False, storage_options=options, row_index_name=ROW)


@dataclass(frozen=True)
class RowTable:
    """The parts of one kind of row, in order."""

    name: str
    """The kind: a stage's name, or ``dropped``."""
    parts: tuple[PartFile, ...]
    artifacts: tuple[int, ...]
    """How many of the parts each artifact has, in order."""
    key: tuple[str, ...]
    """The columns by which other rows are joined to these."""

    @cached_property
    def ends(self) -> list[int]:
        """The number of rows up to the end of each part."""
        return list(accumulate(part.n_rows for part in self.parts))

    @property
    def n_rows(self) -> int:
        """Rows in all parts."""
        return self.ends[-1] if self.ends else 0

    def at(self, number: int) -> tuple[int, int]:
        """The part that holds the row of this number, and the row's number there."""
        part = bisect_right(self.ends, number)
        return part, number - self.start(part)

    def start(self, part: int) -> int:
        """The number of the part's first row."""
        return self.ends[part - 1] if part else 0

    def columns(self) -> list[str]:
        """The columns of the rows."""
        return [name for name in _column_names(self.parts[0]) if name != ROW] if self.parts else []

    def narrow(self, part: int, columns: Sequence[str]) -> pl.DataFrame:
        """The key and these short columns of a part, with ``ROW``; the last ones read are kept."""
        return _narrow(self.parts[part], (*self.key, *(name for name in columns if name not in self.key)))

    def rows(self, part: int, numbers: Sequence[int], columns: Sequence[str]) -> pl.DataFrame:
        """These columns of the part's rows with these numbers, with ``ROW``, in the part's order."""
        first, last = min(numbers), max(numbers)
        near = self.parts[part].scan().slice(first, last - first + 1)
        wanted = near.filter(pl.col(ROW).is_in(list(numbers))).select(ROW, *columns)
        return collected(wanted, self.parts[part].place)


def table_of(name: str, key: tuple[str, ...], uris: Sequence[str], below: str = "", *, dropped: bool = False) -> RowTable:
    """The rows of the artifacts at these URIs; ``below``: only files below this directory of each artifact.

    Raises MissingInput if nothing is published at one of them.
    """
    by_artifact = [_parts(uri, manifest_at(uri), below, dropped=dropped) for uri in uris]
    return RowTable(name, tuple(part for parts in by_artifact for part in parts), tuple(map(len, by_artifact)), key)


@lru_cache(maxsize=CACHED_MANIFESTS)
def manifest_at(uri: str) -> Manifest:
    """The manifest at a URI, read once: what is published does not change. Raises MissingInput if nothing is published there."""
    return manifests.load(uri)


def collected(query: pl.LazyFrame, place: str) -> pl.DataFrame:
    """The rows of a query. Raises StoreFailed in one line if the file cannot be read."""
    try:
        return query.collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = " ".join(str(error).split())[:200]
        msg = f"{place} cannot be read: {reason}; is it there? `stillhouse verify-artifact URI` checks every file"
        raise StoreFailed(msg) from error


def _parts(uri: str, manifest: Manifest, below: str, *, dropped: bool) -> list[PartFile]:
    uri, parts = store.absolute(uri), []
    for name in sorted(manifest.files):
        path = PurePosixPath(name)
        if path.match("part-*.parquet") and name.startswith(below) and ("dropped" in path.parts) == dropped:
            directory, stored = manifests.location(uri, manifest, name)
            parts.append(PartFile(_place(store.join(directory, stored)), manifest.files[name].rows or 0))
    if not parts and not dropped:
        held = ", ".join(sorted(manifest.files)[:4])
        msg = f"{uri} is a {manifest.stage} artifact and has no rows{f' in {below}' if below else ''}; its files: {held}"
        raise MissingInput(msg)
    return parts


def _place(uri: str) -> str:
    return uri if uri.startswith("s3://") else str(store.local_path(uri))


def _s3_options() -> dict[str, str]:
    """What polars must be told beside the AWS variables, which it reads by itself."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    options = {"aws_region": os.environ.get("AWS_DEFAULT_REGION", "us-east-1")}
    return options | ({"aws_endpoint_url": endpoint, "aws_allow_http": "true"} if endpoint else {})


@lru_cache(maxsize=CACHED_PARTS)
def _narrow(part: PartFile, columns: tuple[str, ...]) -> pl.DataFrame:
    return collected(part.scan().select(ROW, *columns), part.place)


@lru_cache(maxsize=CACHED_PARTS)
def _column_names(part: PartFile) -> list[str]:
    try:
        return part.scan().collect_schema().names()
    except (OSError, pl.exceptions.PolarsError) as error:
        msg = (
            f"{part.place} cannot be read: {' '.join(str(error).split())[:200]}; `stillhouse verify-artifact URI` checks the files"
        )
        raise StoreFailed(msg) from error
