"""Write objects to a JSON Lines file, compressed as its name says; equal objects give equal bytes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic_core import to_json

from stillhouse.errors import BadConfig
from stillhouse.exchange.files import holds_lines
from stillhouse.exchange.line_files import COMPRESSIONS, XZ

FILES = frozenset((".jsonl", ".ndjson", ".json", ".zst", ".gz", ".parquet", ".arrow", ".csv", ".tsv", ".txt", ".zip"))
"""Suffixes of names that mean a file, though not all can be written."""


def is_folder(name: str) -> bool:
    """Whether an output is to be a folder: a name with a slash at its end, or without the suffix of a file, such as ``v1.0``."""
    return name.endswith("/") or Path(name).suffix.lower() not in FILES


def check_name(name: str) -> None:
    """Raise BadConfig if the output name is not that of a JSON Lines file."""
    if not holds_lines(name) or name.endswith(XZ):
        msg = f"--output {name}: not a JSON Lines file; name it FILE.jsonl.zst, FILE.jsonl.gz or FILE.jsonl, or name a folder"
        raise BadConfig(msg)


def write(path: Path, objects: Iterable[dict[str, Any]]) -> int:
    """Write one line per object, and return the number of lines."""
    compression = COMPRESSIONS.get(path.suffix)
    count = 0
    with pa.OSFile(str(path), "wb") as raw, pa.CompressedOutputStream(raw, compression) if compression else raw as out:
        for value in objects:
            out.write(to_json(value) + b"\n")
            count += 1
    return count
