"""Read tables: Parquet, Arrow and CSV. Memory is bounded by one batch."""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stillhouse.exchange.bad_rows import Bad, Object
from stillhouse.exchange.line_files import opened

BATCH_ROWS = 256
DELIMITERS = (",", ";", "\t", "|")
PEEKED_CHARS = 2**16
ARROW_MAGIC = b"ARROW1"


def parquet_rows(path: Path, _: int) -> Iterator[tuple[int, Object | Bad]]:
    """The rows of a Parquet file."""
    file = pq.ParquetFile(path)
    return _rows(file.schema_arrow, file.iter_batches(batch_size=BATCH_ROWS))


def arrow_rows(path: Path, _: int) -> Iterator[tuple[int, Object | Bad]]:
    """The rows of an Arrow file or stream, as ``datasets`` saves them."""
    with pa.OSFile(str(path)) as source:  # not mapped: reading a mapped file that is cut off kills the process
        is_file = source.read(len(ARROW_MAGIC)) == ARROW_MAGIC
        source.seek(0)
        if is_file:
            reader = pa.ipc.open_file(source)
            batches: Iterable[Any] = (reader.get_batch(number) for number in range(reader.num_record_batches))
        else:
            batches = reader = pa.ipc.open_stream(source)
        yield from _rows(reader.schema, map(_sound, batches))


def csv_rows(path: Path, max_bytes: int) -> Iterator[tuple[int, Object | Bad]]:
    """The rows of a CSV or TSV file with a header, all values as texts; an empty field is null."""
    csv.field_size_limit(max_bytes)
    with io.TextIOWrapper(io.BufferedReader(opened(path)), encoding="utf-8-sig", newline="") as text:  # type: ignore[type-var]
        rows = csv.reader(text, delimiter=_delimiter(path), strict=True)
        header = next(rows, [])
        if twice := column_twice(header):
            yield 1, Bad("bad_file", f"two columns are called {twice!r}: rename one")
            return
        try:
            for number, fields in enumerate((fields for fields in rows if fields), start=1):
                if len(fields) == len(header):
                    yield number, {name: value or None for name, value in zip(header, fields, strict=True)}
                else:
                    yield number, Bad("bad_value", f"{len(fields)} fields, the header has {len(header)}", ",".join(fields)[:1000])
        except csv.Error as error:
            why = "a quote inside a field is written twice, not after a backslash; write the file anew, or as JSON Lines"
            yield rows.line_num, Bad("bad_file", f"line {rows.line_num}: {error}: {why}; the rest could not be read")


def _delimiter(path: Path) -> str:
    """What parts the fields: of the signs that part header and first row into equally many fields, the one that makes most."""
    usual = "\t" if ".tsv" in path.suffixes else ","
    with io.TextIOWrapper(io.BufferedReader(opened(path)), encoding="utf-8-sig", newline="") as text:  # type: ignore[type-var]
        start = text.read(PEEKED_CHARS)
    widths = {sign: _width(start, sign) for sign in (usual, *DELIMITERS)}
    return max(widths, key=lambda sign: widths[sign])  # the first of equals: the usual one


def _width(start: str, delimiter: str) -> int:
    """The number of fields of the header; 1 if the first row has another."""
    rows = csv.reader(io.StringIO(start, newline=""), delimiter=delimiter)
    try:
        header, first = next(rows, []), next(filter(None, rows), None)
    except csv.Error:
        return 1
    return len(header) if first is None or len(first) == len(header) else 1


def column_twice(names: list[str]) -> str | None:
    """A column name that stands twice; None without one."""
    return next((name for number, name in enumerate(names) if name in names[:number]), None)


def _rows(schema: Any, batches: Iterable[Any]) -> Iterator[tuple[int, Object | Bad]]:
    if twice := column_twice(list(schema.names)):
        yield 1, Bad("bad_file", f"two columns are called {twice!r}: rename one")
        return
    number = 1
    for batch in batches:
        for row in _batch_rows(batch):
            yield number, row
            number += 1


def _sound(batch: Any) -> Any:
    """The batch, its offsets checked: a damaged one would have memory read that is not the batch's."""
    batch.validate(full=True)
    return batch


def _batch_rows(batch: Any) -> list[Object | Bad]:
    """A batch's rows; Parquet does not guarantee that its texts are UTF-8, nor that its dates are ones Python has."""
    try:
        rows: list[Object | Bad] = batch.to_pylist()
    except (ValueError, OverflowError) as error:
        if len(batch) == 1:
            return [_unreadable(error)]
        return [row for start in range(len(batch)) for row in _batch_rows(batch.slice(start, 1))]
    return rows


def _unreadable(error: ValueError | OverflowError) -> Bad:
    if isinstance(error, UnicodeDecodeError):
        return Bad("bad_utf8", f"{error.reason} at byte {error.start}")
    return Bad("bad_value", " ".join(str(error).split()))
