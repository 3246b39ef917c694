"""Scratch directories: the only places on disk that a stage writes to."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stillhouse.errors import StoreFailed


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A directory that is gone afterwards, whatever happens; below ``STILLHOUSE_SCRATCH`` if set."""
    try:
        path = Path(tempfile.mkdtemp(prefix="stillhouse-", dir=os.environ.get("STILLHOUSE_SCRATCH")))
    except OSError as error:
        msg = f"no scratch directory: {error}; set STILLHOUSE_SCRATCH to a directory with room"
        raise StoreFailed(msg) from error
    try:
        yield path
    finally:
        shutil.rmtree(path)
