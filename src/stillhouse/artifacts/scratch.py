"""Scratch directories: the only places on disk that a stage writes to."""

import fcntl
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stillhouse.errors import StoreFailed
from stillhouse.vocabulary import environment

PREFIX = "stillhouse-"
ALIVE = ".alive"
"""A file in the directory that its process keeps locked: the kernel drops the lock with the process, however that ends. It holds
the machine's name and boot, because on a disk that machines share, a lock of one may mean nothing to the others."""


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
        # A child that still writes here, or a busy file of NFS, is no reason to fail: the next call sweeps what is left.
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _locked(directory: Path) -> int:
    """Lock the directory's file before it has its name, so that no other process finds it without a lock."""
    handle, name = tempfile.mkstemp(dir=directory)
    fcntl.flock(handle, fcntl.LOCK_EX)
    os.write(handle, "\n".join(_machine()).encode())
    Path(name).rename(directory / ALIVE)
    return handle


def _sweep(parent: Path) -> None:
    """Remove the scratch directories whose processes ran on this machine, and are gone."""
    for alive in parent.glob(f"{PREFIX}*/{ALIVE}"):
        with suppress(OSError):  # locked by a live process, or swept by another one just now, or of another user
            if not {*_machine()} & {*alive.read_text(encoding="utf-8", errors="replace").splitlines()}:
                continue
            handle = os.open(alive, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(alive.parent, ignore_errors=True)
            finally:
                os.close(handle)


def _machine() -> list[str]:
    """This machine's name, and its boot where the system tells: pods of one node share that, and a reboot keeps the name."""
    try:
        return [platform.node(), Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()]
    except OSError:
        return [platform.node()]
