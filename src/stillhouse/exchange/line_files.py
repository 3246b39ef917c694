"""Read JSON Lines, plain or compressed. Memory is bounded by one line: an overlong line is skipped, never held."""

import lzma
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from pydantic_core import from_json

from stillhouse.errors import BadRows
from stillhouse.exchange.bad_rows import NOT_MINE, SHOWN_CHARS, Bad, Object, shown
from stillhouse.exchange.row_share import is_mine

COMPRESSIONS = {".zst": "zstd", ".gz": "gzip", ".bz2": "bz2"}
"""Suffix -> codec of what is written, and read."""
XZ = ".xz"
"""A compression that is only read."""
COMPRESSED = frozenset((*COMPRESSIONS, XZ))
MAX_LINE_BYTES = 16 * 2**20
"""Longest line read by default: longer than any code question with its tests, shorter than a file without line breaks."""
CHUNK_BYTES = 2**16
"""Bytes read at once, and so the most that is lost if a compressed file is cut off."""
FREE_BYTES, MAX_EXPANSION = 64 * 2**20, 500
"""What a compressed file may expand to: this many bytes or, if more, this many times its own size; text takes up to 50."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""How a text in UTF-16 begins, as spreadsheets and Windows write it."""
_TEXT_OR_KEY = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?')


def lines(path: Path, max_bytes: int = MAX_LINE_BYTES) -> Iterator[tuple[int, bytes | Bad]]:
    """The non-blank lines, by number. Raises BadRows for a compressed file that expands as no file of rows does."""
    pieces_so_far: list[bytes] = []
    size, number = 0, 1
    try:
        for chunk in chunks(path):
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


def json_lines(path: Path, max_bytes: int = MAX_LINE_BYTES) -> Iterator[tuple[int, Object | Bad]]:
    """The object of every line.

    Reasons: ``bad_json``, ``bad_utf8``, ``bad_type`` (JSON, but no object), ``bad_line_length``, ``bad_key`` (a key twice),
    ``bad_file`` (cut off or damaged: the rest is not read). Lines of other processes are ``NOT_MINE``, and are not parsed.
    """
    return ((number, _object(line) if is_mine(number) else NOT_MINE) for number, line in lines(path, max_bytes))


def chunks(path: Path) -> Iterator[bytes]:
    """The file's bytes, decompressed. Raises OSError, or BadRows for a compression bomb."""
    expanded = 0
    with opened(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            expanded += len(chunk)
            _require_rows(path, expanded)
            yield chunk


def opened(path: Path) -> BinaryIO:
    """The file for reading, decompressed as its suffix says; a text in UTF-16 is read as UTF-8."""
    with _decompressed(path) as file:
        is_utf_16 = file.read(2) in UTF_16_MARKS
    text: BinaryIO = pa.transcoding_input_stream(_decompressed(path), "utf-16", "utf-8") if is_utf_16 else _decompressed(path)
    return text


def _decompressed(path: Path) -> BinaryIO:
    if path.suffix == XZ:
        return lzma.LZMAFile(path)  # type: ignore[return-value]
    raw = pa.OSFile(str(path))
    compression = COMPRESSIONS.get(path.suffix)
    file: BinaryIO = pa.CompressedInputStream(raw, compression) if compression else raw
    return file


def key_twice(line: bytes, value: Object) -> str | None:
    """A key that an object of the line has twice, of which JSON readers keep the last value; None without one."""
    n_keys = _count_keys(value)
    if line.count(b'":') == n_keys and b'" :' not in line:
        return None
    keys = [match[0] for match in _TEXT_OR_KEY.finditer(line) if match[1]]
    if len(keys) == n_keys:
        return None
    twice = next((key for number, key in enumerate(keys) if key in keys[:number]), b'""')
    return twice.rstrip(b": \t").decode(errors="replace")


def _count_keys(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_count_keys, value.values()))
    return sum(map(_count_keys, value)) if isinstance(value, list) else 0


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
    if path.suffix in COMPRESSED and expanded > FREE_BYTES and expanded > MAX_EXPANSION * path.stat().st_size:
        msg = (
            f"{path.name}: {path.stat().st_size:,} bytes expand to more than {expanded:,}, over {MAX_EXPANSION} times as many: "
            "no file of rows does; if it is one, give it uncompressed"
        )
        raise BadRows(msg)


def _object(line: bytes | Bad) -> Object | Bad:
    if isinstance(line, Bad):
        return line
    try:
        value = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        return Bad(*_why_not_json(line, error), shown(line))
    if not isinstance(value, dict):
        return Bad("bad_type", f"{type(value).__name__}, not an object", shown(line))
    if twice := key_twice(line, value):
        return Bad("bad_key", f"the key {twice} stands twice in one object", shown(line))
    return value


def _why_not_json(line: bytes, error: ValueError) -> tuple[str, str]:
    if b"\x00" in line:
        return "bad_utf8", "bytes of value 0, as UTF-16 or UTF-32 without a mark has them: save the file as UTF-8"
    try:
        line.decode()
    except UnicodeDecodeError as no_text:
        return "bad_utf8", f"{no_text.reason} at byte {no_text.start}"
    return "bad_json", str(error)
