"""Scratch directories: the only places on disk that a stage writes to."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stillhouse.errors import StoreFailed
from stillhouse.vocabulary import environment

PREFIX = "stillhouse-"
ALIVE = ".alive"
"""A file in the directory that its process keeps locked: the kernel drops the lock with the process, however that ends."""


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A directory that is gone afterwards, whatever happens; below ``STILLHOUSE_SCRATCH`` if set.

    Directories of processes that were killed are removed at the next call on that machine.
    """
    try:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=environment.text("STILLHOUSE_SCRATCH") or None))
        lock = _locked(path)
    except OSError as error:
        msg = f"no scratch directory: {error}; set STILLHOUSE_SCRATCH to a directory with room"
        raise StoreFailed(msg) from error
    try:
        _sweep(path.parent)
        yield path
    finally:
        shutil.rmtree(path)
        os.close(lock)


def _locked(directory: Path) -> int:
    """Lock the directory's file before it has its name, so that no other process finds it without a lock."""
    handle, name = tempfile.mkstemp(dir=directory)
    fcntl.flock(handle, fcntl.LOCK_EX)
    Path(name).rename(directory / ALIVE)
    return handle


def _sweep(parent: Path) -> None:
    """Remove the scratch directories whose processes are gone."""
    for alive in parent.glob(f"{PREFIX}*/{ALIVE}"):
        with suppress(OSError):  # locked by a live process, or swept by another one just now, or of another user
            handle = os.open(alive, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(alive.parent, ignore_errors=True)
            finally:
                os.close(handle)
