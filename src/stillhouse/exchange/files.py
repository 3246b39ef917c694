"""Read a file of rows in any of the formats: JSON Lines, JSON, CSV plain or compressed, Parquet, Arrow, tar of samples.

Memory is bounded by one row or one batch, whatever the file holds.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import pyarrow as pa

from stillhouse.artifacts import store
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.errors import BadConfig, MissingInput, StillhouseError
from stillhouse.exchange.bad_rows import NOT_MINE, Bad, Object
from stillhouse.exchange.config import Format
from stillhouse.exchange.json_values import json_values
from stillhouse.exchange.line_files import BYTE_ORDER_MARK, COMPRESSED, MAX_LINE_BYTES, json_lines, opened
from stillhouse.exchange.row_share import is_mine
from stillhouse.exchange.sample_files import folder_rows, tar_rows
from stillhouse.exchange.table_files import ARROW_MAGIC, arrow_rows, csv_rows, parquet_rows

LINES = (".jsonl", ".ndjson", ".json")
PARQUET = ".parquet"
SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".arrow": "arrow",
    ".feather": "arrow", ".tar": "samples", ".tgz": "samples",
}  # fmt: skip
"""Suffix of a file name, before that of a compression -> format."""
READERS: dict[Format, Callable[[Path, int], Iterator[tuple[int, Object | Bad]]]] = {
    "jsonl": json_lines, "json": json_values, "csv": csv_rows, "parquet": parquet_rows, "arrow": arrow_rows, "samples": tar_rows,
}  # fmt: skip
PEEKED_BYTES = 2**16
LFS = "a pointer of Git LFS, not the file itself; fetch it with git lfs pull"


def format_of_name(name: str) -> Format | None:
    """The format that a file name's suffix tells; None for another name."""
    path = Path(name)
    suffix = Path(name.removesuffix(path.suffix)).suffix if path.suffix in COMPRESSED else path.suffix
    form = SUFFIXES.get(suffix.lower())
    return None if path.suffix in COMPRESSED and form in {"parquet", "arrow"} else form


def is_archive(name: str) -> bool:
    """Whether a file of this name holds other files: a zip file."""
    return name.lower().endswith(".zip")


def holds_lines(name: str) -> bool:
    """Whether a file of this name holds JSON lines, compressed or not."""
    return format_of_name(name) in {"jsonl", "json"}


def check_name(name: str) -> None:
    """Raise BadConfig for a file name whose suffix does not tell its format."""
    if format_of_name(name) is None and not is_archive(name):
        msg = (
            f"{name}: the suffix tells no format; name it .jsonl, .json, .csv or .tsv (plain, .gz, .bz2, .xz or .zst), .parquet, "
            f".arrow, .zip or .tar, or set format to one of {', '.join(get_args(Format))}"
        )
        raise BadConfig(msg)


@contextmanager
def local(uri: str) -> Iterator[Path]:
    """The file at a path, ``file://`` or ``s3://`` URI on this machine. Raises BadConfig, MissingInput."""
    if is_archive(uri):
        msg = f"{uri}: an archive; give one file of rows: unpack it"
        raise BadConfig(msg)
    check_name(uri)
    absolute = store.absolute(uri)
    if absolute.startswith("file://"):
        path = store.local_path(absolute)
        refuse_no_file(path, uri)
        yield path
        return
    directory, _, name = absolute.rpartition("/")
    if not store.store_of(absolute).holds(absolute):
        msg = f"{uri}: no such file; give one file of rows"
        raise MissingInput(msg)
    with scratch_directory() as fetched:
        yield store.store_of(absolute).fetch(directory, fetched, [name]) / name


def refuse_no_file(path: Path, uri: str) -> None:
    """Raise MissingInput, which says what is there, unless the path is a regular file."""
    if path.is_file():
        return
    what = "a directory" if path.is_dir() else "no such file"
    if path.is_fifo() or path.is_socket() or path.is_char_device():
        what = "a pipe or a device, which can be read only once"
    elif path.is_symlink():
        what = "a link that leads nowhere"
    msg = f"{uri}: {what}; give one file of rows"
    raise MissingInput(msg)


def objects(
    path: Path, max_line_bytes: int = MAX_LINE_BYTES, form: Format | None = None
) -> Iterator[tuple[int, Object | Bad]]:  # fmt: skip
    """The rows of a file, or of a folder of samples, by line or row number, from 1.

    Blank lines are skipped; a file without rows is one Bad. Whatever a reader raises becomes a Bad with the reason ``bad_file``.
    Where processes share a source, the rows of the others are ``NOT_MINE``.
    """
    number = 0
    try:
        for number, row in _reader(path, form)(path, max_line_bytes):
            yield number, row if is_mine(number) else NOT_MINE
    except Exception as error:
        # Whatever a library raises on a damaged file is this file's fault, as is a length in it that no memory holds.
        if isinstance(error, StillhouseError) or (isinstance(error, MemoryError) and not isinstance(error, pa.ArrowException)):
            raise
        what = LFS if _is_lfs_pointer(path) else " ".join(str(error).split()) or type(error).__name__
        damage = Bad("bad_file", f"{what}: the rest could not be read")
        yield number + 1, damage if is_mine(number + 1) else NOT_MINE
        return
    if not number:
        yield 1, Bad("bad_file_empty", "the file has no row") if is_mine(1) else NOT_MINE


def _is_lfs_pointer(path: Path) -> bool:
    return path.is_file() and path.stat().st_size < PEEKED_BYTES and path.read_bytes().startswith(b"version https://git-lfs.")


def _reader(path: Path, form: Format | None) -> Callable[[Path, int], Iterator[tuple[int, Object | Bad]]]:
    if path.is_dir():
        return folder_rows
    form = form or format_of_name(path.name) or "jsonl"
    if form in {"jsonl", "json"}:
        return json_values if is_spread(path, form) else json_lines
    return READERS[form]


def is_spread(path: Path, form: Format) -> bool:
    """Whether JSON is not one object per line: an array, an object of several lines, or one that is the whole file."""
    try:
        with opened(path) as file:
            start = file.read(PEEKED_BYTES).removeprefix(BYTE_ORDER_MARK).lstrip()
    except OSError:
        return False  # the reader says why
    line, _, rest = start.partition(b"\n")
    if form == "jsonl":
        # An array of numbers is a bad line of JSON Lines; an array of objects is another format.
        return line.strip() == b"[" or line.startswith(b"[{")
    return start.startswith(b"[") or (start.startswith(b"{") and not (line.rstrip().endswith(b"}") and rest.strip()))


def magic_format(start: bytes) -> Format | None:
    """The format that the first bytes of a file without a telling name show; None if they show none."""
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(ARROW_MAGIC) or start.startswith(b"\xff\xff\xff\xff"):
        return "arrow"
    if start[257:262] == b"ustar":
        return "samples"
    text = start.removeprefix(BYTE_ORDER_MARK).lstrip()
    if text.startswith(b"["):
        return "json"
    if text.startswith(b"{"):
        return "jsonl" if text.partition(b"\n")[0].rstrip().endswith(b"}") else "json"
    return "csv" if b"," in text.partition(b"\n")[0] else None
