"""Read a file of rows, one object per row: JSON Lines, plain, .gz or .zst, or Parquet. A bad line is a value, not an error.

Memory is bounded by one line or one batch of a row group, whatever the file holds: an overlong line is skipped, never held.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic_core import from_json, to_json

from stillhouse.artifacts import store
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.errors import BadConfig, BadRows, MissingInput, TooManyErrors
from stillhouse.exchange import row_share
from stillhouse.vocabulary.rows import Dropped

COMPRESSIONS = {".zst": "zstd", ".gz": "gzip"}
LINES = (".jsonl", ".ndjson", ".json")
PARQUET = ".parquet"
MAX_LINE_BYTES = 16 * 2**20
"""Longest line read by default: longer than any code question with its tests, shorter than a file without line breaks."""
CHUNK_BYTES = 2**16
"""Bytes read at once, and so the most that is lost if a compressed file is cut off."""
FREE_BYTES, MAX_EXPANSION = 64 * 2**20, 500
"""What a compressed file may expand to: this many bytes or, if more, this many times its own size; text takes up to 50."""
BATCH_ROWS = 256
SHOWN_CHARS = 1000
"""Characters of a bad line that its dropped row keeps."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Bad:
    """A line that is not a row: ``reason`` begins with ``bad_``, ``text`` is the line's beginning."""

    reason: str
    detail: str
    text: str = ""


NOT_MINE = Bad(row_share.PASSED_OVER.reason, "")
"""A row that another process reads."""
Object = dict[str, Any]
T = TypeVar("T")


def holds_lines(name: str) -> bool:
    """Whether a file of this name holds JSON lines, compressed or not."""
    suffix = Path(name).suffix
    return (Path(name.removesuffix(suffix)).suffix if suffix in COMPRESSIONS else suffix) in LINES


def check_name(name: str) -> None:
    """Raise BadConfig for a file name whose suffix does not tell its format."""
    if not holds_lines(name) and Path(name).suffix != PARQUET:
        msg = f"{name}: the suffix tells the format; name it .jsonl, .jsonl.zst, .jsonl.gz or .parquet"
        raise BadConfig(msg)


@contextmanager
def local(uri: str) -> Iterator[Path]:
    """The file at a path, ``file://`` or ``s3://`` URI on this machine. Raises BadConfig, MissingInput."""
    check_name(uri)
    absolute = store.absolute(uri)
    if absolute.startswith("file://"):
        path = store.local_path(absolute)
        if not path.is_file():
            msg = f"{uri}: {'a directory' if path.is_dir() else 'no such file'}; give one file of rows"
            raise MissingInput(msg)
        yield path
        return
    directory, _, name = absolute.rpartition("/")
    if not store.store_of(absolute).holds(absolute):
        msg = f"{uri}: no such file; give one file of rows"
        raise MissingInput(msg)
    with scratch_directory() as fetched:
        yield store.store_of(absolute).fetch(directory, fetched, [name]) / name


def objects(path: Path, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[tuple[int, Object | Bad]]:
    """The file's rows by line or row number, from 1. Blank lines are skipped; a file without rows is one Bad.

    Reasons: ``bad_json``, ``bad_utf8``, ``bad_type`` (JSON, but no object), ``bad_line_length``, ``bad_file`` (cut off or damaged:
    the rest is not read), ``bad_file_empty``.
    """
    has_rows = False
    from_lines = (
        (number, _object(line) if row_share.is_mine(number) else NOT_MINE) for number, line in lines(path, max_line_bytes)
    )
    for number, row in _parquet_rows(path) if path.suffix == PARQUET else from_lines:
        has_rows = True
        yield number, row
    if not has_rows:
        yield 1, Bad("bad_file_empty", "the file has no row")


def shown(row: bytes | Object) -> str:
    """The beginning of a line or an object, for its dropped row."""
    text = row if isinstance(row, bytes) else to_json(row, fallback=str)
    return text[:SHOWN_CHARS].decode(errors="replace")


def bounded(
    rows: Iterable[tuple[int, T | Bad]], location: str, max_bad_rate: float, count: int | None = None
) -> Iterator[T | Dropped]:  # fmt: skip
    """The rows, at most ``count``; bad ones as dropped rows with the key ``location:number``.

    Raises TooManyErrors at the end if the share of bad rows is above ``max_bad_rate``.
    """
    reasons, first, good = Counter[str](), "", 0
    for number, row in rows:
        if row is NOT_MINE:
            yield row_share.PASSED_OVER
        elif isinstance(row, Bad):
            reasons[row.reason] += 1
            first = first or f"line {number}: {row.detail}"
            yield Dropped(f"{location}:{number}", row.reason, row.detail, json.dumps(row.text, ensure_ascii=False))
        else:
            yield row
            good += 1
            if good == count:
                break
    bad = reasons.total()
    if row_share.count(good=good, bad=bad):
        return
    if bad > max_bad_rate * (good + bad):
        by_reason = ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items()))
        msg = (
            f"{location}: {bad} of {good + bad} rows are bad ({by_reason}; first {first}), max_bad_rate allows {max_bad_rate:g}; "
            "correct the file, or raise max_bad_rate"
        )
        raise TooManyErrors(msg)


def lines(path: Path, max_bytes: int = MAX_LINE_BYTES) -> Iterator[tuple[int, bytes | Bad]]:
    """The non-blank lines, by number. Raises BadRows for a compressed file that expands as no file of rows does."""
    pieces_so_far: list[bytes] = []
    size, number, expanded = 0, 1, 0
    with _open(path) as file:
        try:
            while chunk := file.read(CHUNK_BYTES):
                expanded += len(chunk)
                _require_rows(path, expanded)
                *ended, rest = chunk.split(b"\n")
                for piece in ended:
                    yield from _line(number, [*pieces_so_far, piece], size + len(piece), max_bytes)
                    pieces_so_far, size, number = [], 0, number + 1
                size += len(rest)
                pieces_so_far = [*pieces_so_far, rest] if size <= max_bytes else pieces_so_far[:1] or [rest[:SHOWN_CHARS]]
        except OSError as error:
            yield number, Bad("bad_file", f"{error}: the rest could not be read")
            return
    yield from _line(number, pieces_so_far, size, max_bytes)


def _line(number: int, pieces: list[bytes], size: int, max_bytes: int) -> Iterator[tuple[int, bytes | Bad]]:
    if size > max_bytes:
        yield number, Bad("bad_line_length", f"{size:,} bytes, {max_bytes:,} are allowed", shown(pieces[0]))
        return
    line = b"".join(pieces)
    if number == 1:
        line = line.removeprefix(BYTE_ORDER_MARK)
    if line := line.strip():
        yield number, line


def _require_rows(path: Path, expanded: int) -> None:
    """Raise BadRows for a compression bomb: a few kilobytes that would keep this process busy for hours."""
    if path.suffix in COMPRESSIONS and expanded > FREE_BYTES and expanded > MAX_EXPANSION * path.stat().st_size:
        msg = (
            f"{path.name}: {path.stat().st_size:,} bytes expand to more than {expanded:,}, over {MAX_EXPANSION} times as many: "
            "no file of rows does; if it is one, give it uncompressed"
        )
        raise BadRows(msg)


def _open(path: Path) -> BinaryIO:
    raw = pa.OSFile(str(path))
    compression = COMPRESSIONS.get(path.suffix)
    opened: BinaryIO = pa.CompressedInputStream(raw, compression) if compression else raw
    return opened


def _object(line: bytes | Bad) -> Object | Bad:
    if isinstance(line, Bad):
        return line
    try:
        value = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        return Bad(*_why_not_json(line, error), shown(line))
    if not isinstance(value, dict):
        return Bad("bad_type", f"{type(value).__name__}, not an object", shown(line))
    return value


def _why_not_json(line: bytes, error: ValueError) -> tuple[str, str]:
    try:
        line.decode()
    except UnicodeDecodeError as no_text:
        return "bad_utf8", f"{no_text.reason} at byte {no_text.start}"
    return "bad_json", str(error)


def _parquet_rows(path: Path) -> Iterator[tuple[int, Object | Bad]]:
    number = 1
    try:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=BATCH_ROWS):
            for row in _batch_rows(batch):
                yield number, row
                number += 1
    except (OSError, pa.ArrowException) as error:
        yield number, Bad("bad_file", f"{' '.join(str(error).split())}: the rest could not be read")


def _batch_rows(batch: Any) -> list[Object | Bad]:
    """A batch's rows; Parquet does not guarantee that its texts are UTF-8."""
    try:
        rows: list[Object | Bad] = batch.to_pylist()
    except UnicodeDecodeError as error:
        if len(batch) == 1:
            return [Bad("bad_utf8", f"{error.reason} at byte {error.start}")]
        return [row for index in range(len(batch)) for row in _batch_rows(batch.slice(index, 1))]
    return rows
