"""Objects -> a file of JSON lines, whole or not at all, compressed as its name says; equal objects give equal bytes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic_core import to_json

from stillhouse.errors import BadConfig
from stillhouse.exchange.files import COMPRESSIONS, holds_lines


def check_name(name: str) -> None:
    """Raise BadConfig for an output name that is no file of JSON lines."""
    if not holds_lines(name):
        msg = f"--output {name}: not a file of JSON lines; name it FILE.jsonl.zst, FILE.jsonl.gz or FILE.jsonl"
        raise BadConfig(msg)


def write(path: Path, made: Iterable[dict[str, Any]]) -> int:
    """Write one line to an object, and return how many there were."""
    compression = COMPRESSIONS.get(path.suffix)
    count = 0
    with pa.OSFile(str(path), "wb") as raw, pa.CompressedOutputStream(raw, compression) if compression else raw as out:
        for each in made:
            out.write(to_json(each) + b"\n")
            count += 1
    return count
