"""Questions from files of your own, in any of the formats, on this machine, on S3, on the hub or from standard input."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from stillhouse.errors import BadConfig
from stillhouse.exchange import files, locations
from stillhouse.exchange.bad_rows import Bad, LeftOut, Object, bounded
from stillhouse.exchange.locations import FileOfRows
from stillhouse.exchange.templates import FILE_NAME
from stillhouse.sources import columns
from stillhouse.sources.stored import FileSource, PinnedSpec, RowSlice
from stillhouse.vocabulary.rows import Dropped, Question

T = TypeVar("T")


def questions(spec: FileSource, unmapped: Counter[str]) -> Iterator[Question | Dropped]:
    """The files' questions in their order. Raises BadConfig, MissingInput, TooManyErrors."""

    def read(file: FileOfRows) -> Iterator[tuple[int, Question | Bad | LeftOut]]:
        rows = sliced(objects(file, spec.max_line_bytes), spec.slice)
        return columns.questions(spec, rows, unmapped)

    return stored(spec, read)


def objects(file: FileOfRows, max_line_bytes: int) -> Iterator[tuple[int, Object | Bad]]:
    """The rows of a file, each with the file's name in a column of its own."""
    for number, row in files.objects(file.path, max_line_bytes, file.form):
        yield number, row if isinstance(row, Bad) else {FILE_NAME: file.name} | row


def sliced(rows: Iterator[tuple[int, T]], wanted: RowSlice | None) -> Iterator[tuple[int, T]]:
    """The rows of a slice of each file."""
    if wanted is None:
        return rows
    start, _, stop = wanted.strip("[]").partition(":")
    return islice(rows, int(start or 0), int(stop) if stop else None)


def stored(
    spec: PinnedSpec, read: Callable[[FileOfRows], Iterator[tuple[int, T | Bad | LeftOut]]]
) -> Iterator[T | Dropped]:  # fmt: skip
    """The rows that ``read`` yields of each file, once their digest is checked. Raises TooManyErrors above ``max_bad_rate``."""
    with locations.fetched(spec.path, spec.format) as found:
        if spec.sha256 is not None and (digest := locations.digest(found)) != spec.sha256:
            msg = f"source {spec.name}: {spec.path} has sha256 {digest}, not {spec.sha256} as pinned; restore it, or pin this one"
            raise BadConfig(msg)
        yield from bounded(_chained(found, read), spec.path, spec.max_bad_rate, spec.count)


def _chained(
    found: Sequence[FileOfRows], read: Callable[[FileOfRows], Iterator[tuple[int, T | Bad | LeftOut]]]
) -> Iterator[tuple[int | str, T | Bad | LeftOut]]:  # fmt: skip
    """The rows of all files; those of several are numbered with the name of their file."""
    for file in found:
        for number, row in read(file):
            yield number if len(found) == 1 else f"{file.name}:{number}", row
