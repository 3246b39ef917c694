"""Write encoded records to Parquet files of bounded size; equal records give equal bytes."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stillhouse.exchange.features import Feature

ROWS_PER_FILE, BYTES_PER_FILE = 100_000, 2**30
"""A file ends at the first of both; bytes are counted before compression."""
ROW_GROUP = 1000


def write_parquet(lines: Path, directory: Path, columns: Sequence[Feature], rows_per_file: int = ROWS_PER_FILE) -> list[Path]:
    """Write a file of JSON lines as ``part-00000.parquet`` and so on; returns the files."""
    schema = arrow_schema(columns)
    directory.mkdir(parents=True)
    paths: list[Path] = []
    writer: pq.ParquetWriter | None = None
    n_rows = n_bytes = 0
    for rows in _batches(lines, min(ROW_GROUP, rows_per_file)):
        table = pa.Table.from_pylist(rows, schema=schema)
        if writer is None or n_rows + table.num_rows > rows_per_file or n_bytes + table.nbytes > BYTES_PER_FILE:
            if writer is not None:
                writer.close()
            paths.append(directory / f"part-{len(paths):05d}.parquet")
            writer, n_rows, n_bytes = pq.ParquetWriter(paths[-1], schema, compression="zstd"), 0, 0
        writer.write_table(table)
        n_rows, n_bytes = n_rows + table.num_rows, n_bytes + table.nbytes
    if writer is not None:
        writer.close()
    return paths


def arrow_schema(columns: Sequence[Feature]) -> pa.Schema:
    """The Arrow schema of columns as a dataset card describes them."""
    return pa.schema([pa.field(column["name"], _type(column)) for column in columns])


def _type(feature: Feature | str) -> pa.DataType:
    if isinstance(feature, str):
        return {"string": pa.string(), "float64": pa.float64()}[feature]
    if "struct" in feature:
        return pa.struct([pa.field(inner["name"], _type(inner)) for inner in feature["struct"]])
    if "list" in feature:
        inner = feature["list"]
        return pa.list_(_type({"struct": inner}) if isinstance(inner, list) else _type(inner))
    return _type(feature["dtype"])


def _batches(lines: Path, size: int) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    with lines.open("rb") as file:
        for line in file:
            batch.append(json.loads(line))
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch
