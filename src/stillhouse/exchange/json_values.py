"""Read JSON that is not one object per line: an array of objects, or objects one after the other over several lines.

The file is read value by value: memory is bounded by the longest value, not by the file.
"""

import codecs
import json
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from stillhouse.exchange.bad_rows import SHOWN_CHARS, Bad, Object, shown
from stillhouse.exchange.line_files import chunks

WRAPPERS = ("data", "rows", "examples", "train", "questions", "problems", "items", "instances")
"""Keys under which an object that is the whole file may keep its rows."""
SPLITS = ("test", "validation", "valid", "val", "dev", "eval")
"""Further ones, of which a file may have several."""
BETWEEN = " \t\r\n,"


class _KeyTwice(ValueError):
    """An object has a key twice."""


class _Unreadable(ValueError):
    """The file's text cannot be read on."""

    def __init__(self, bad: Bad) -> None:
        super().__init__(bad.detail)
        self.bad = bad


def json_values(path: Path, max_bytes: int) -> Iterator[tuple[int, Object | Bad]]:
    """The objects of the file, numbered from 1. After a value that is not JSON the rest is not read."""
    values = _JsonStream(path, max_bytes).values()
    head = list(islice(values, 2))
    rows = _wrapped(head[0]) if len(head) == 1 and isinstance(head[0], dict) else None
    yield from enumerate(map(_row, chain(head, values) if rows is None else rows), start=1)


def _row(value: Any) -> Object | Bad:
    if isinstance(value, dict | Bad):
        return value
    if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        return {str(number): part for number, part in enumerate(value)}  # a row that is a list, as Open-Reasoner-Zero's are
    return Bad("bad_type", f"{type(value).__name__}, not an object", repr(value)[:200])


def _wrapped(value: Object) -> list[Any] | None:
    """The rows inside the object that is the whole file; None if it is a row itself."""
    lists = {key: value[key] for key in (*WRAPPERS, *SPLITS) if _are_rows(value.get(key))}
    if len(lists) > 1:
        return [Bad("bad_file", f"holds several lists of rows ({', '.join(lists)}): write each to a file of its own")]
    if lists:
        return list(*lists.values())
    inner = [value[key] for key in WRAPPERS if isinstance(value.get(key), dict)]
    return (_wrapped(inner[0]) if len(inner) == 1 else None) or _of_columns(value)


def _are_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _of_columns(value: Object) -> list[Any] | None:
    """The rows of a table that was written by columns, as ``to_json`` of pandas does; None if the object is no table.

    A column is a list, or an object by row number; ``{"columns": [...], "data": [[...]]}`` has a list for each row, and objects
    of the same keys under different names are rows by their id.
    """
    names, data = value.get("columns"), value.get("data")
    if isinstance(names, list) and isinstance(data, list) and all(isinstance(row, list) and len(row) == len(names) for row in data):
        return [dict(zip(map(str, names), row, strict=True)) for row in data]
    columns = list(value.values())
    if columns and all(isinstance(column, dict) and column and all(map(str.isdecimal, column)) for column in columns):
        columns = [list(column.values()) for column in columns] if len({tuple(column) for column in columns}) == 1 else []
    if len(columns) > 1 and all(isinstance(row, dict) and len(row) > 1 and row.keys() == columns[0].keys() for row in columns):
        return columns
    if not columns or not all(isinstance(column, list) and len(column) == len(columns[0]) > 1 for column in columns):
        return None
    return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]


class _JsonStream:
    """Decodes one value after the other from a buffer that grows until the next one is whole."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._pieces, self._max_bytes = _texts(path), max_bytes
        self._decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=self._no_number)
        self._text, self._at_end = "", False
        self._constants: list[str] = []
        """What the last value holds that is no JSON number: NaN, Infinity."""

    def values(self) -> Iterator[Any]:
        """The values of the file, or of its array. Behind a Bad there are others only if it can be told where it ends."""
        try:
            self._skip()
            if is_array := self._text.startswith("["):
                self._text = self._text[1:]
            while True:
                self._skip()
                if is_array and not self._text:
                    yield Bad("bad_file", "the array has no end: the file is cut off")
                if not self._text or (is_array and self._text.startswith("]")):
                    return
                value = self._next()
                if self._constants and not isinstance(value, Bad):
                    yield Bad("bad_json", f"{self._constants[0]} is no JSON number; write null", repr(value)[:SHOWN_CHARS])
                    continue
                yield value
                if isinstance(value, Bad):
                    return
        except _Unreadable as error:
            yield error.bad

    def _no_number(self, constant: str) -> float:
        self._constants.append(constant)
        return float(constant)

    def _skip(self) -> None:
        """Leave out what stands between values, and read on if nothing is left."""
        while not (stripped := self._text.lstrip(BETWEEN)) and not self._at_end:
            self._text = ""
            self._grow(1)
        self._text = stripped

    def _grow(self, n_chars: int) -> None:
        """Read on until the buffer has this many characters, or the file ends."""
        pieces = [self._text]
        while sum(map(len, pieces)) < n_chars and not self._at_end:
            piece = next(self._pieces, None)
            pieces.append(piece or "")
            self._at_end = piece is None
        self._text = "".join(pieces)

    def _next(self) -> Any:
        # The buffer doubles before each further try: a value of n characters is scanned at most twice as often as it is long.
        while True:
            self._constants.clear()
            try:
                value, end = self._decoder.raw_decode(self._text)
            except (ValueError, RecursionError) as error:
                is_final = isinstance(error, _KeyTwice | RecursionError) or len(self._text) > self._max_bytes
                if self._at_end or is_final:
                    return _bad(error, self._text, self._max_bytes)
            else:
                if end < len(self._text) or self._at_end:  # else a number may go on
                    self._text = self._text[end:]
                    return value
            self._grow(2 * len(self._text) + 1)


def _texts(path: Path) -> Iterator[str]:
    """The file's text, piece by piece. Raises _Unreadable."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        for chunk in chunks(path):
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _Unreadable(Bad("bad_utf8", f"{error.reason}: the rest could not be read")) from error
    except OSError as error:
        raise _Unreadable(Bad("bad_file", f"{error}: the rest could not be read")) from error


def _bad(error: ValueError | RecursionError, text: str, max_bytes: int) -> Bad:
    shown_text = shown(text[:1000].encode(errors="replace"))
    if isinstance(error, _KeyTwice):
        return Bad("bad_key", f"{error}; the rest could not be read", shown_text)
    if len(text) > max_bytes:
        return Bad("bad_line_length", f"a value of more than {max_bytes:,} characters: the rest could not be read", shown_text)
    return Bad("bad_json", f"{error}: the rest could not be read", shown_text)


def _object(pairs: list[tuple[str, Any]]) -> Object:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for number, key in enumerate(keys) if key in keys[:number])
        msg = f'the key "{twice}" stands twice in one object'
        raise _KeyTwice(msg)
    return value
