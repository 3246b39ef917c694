"""The private tmp of a run: a file system in memory if mounts are allowed, else a directory that is measured and emptied."""

import fcntl
import os
import secrets
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from stillhouse.verification.sandbox import confinement, kernel, namespaces
from stillhouse.verification.sandbox.confinement import Confinement
from stillhouse.verification.sandbox.limits import Limits

_IN_MEMORY = "/dev/shm"
"""Where the private tmp is put if mounts are not allowed: a disk takes seconds to remove what a program creates in one."""
_PREFIX = "stillhouse-sandbox-"
_MAX_DEPTH = 64
"""Levels of directories that are measured."""


def create() -> tuple[str, int]:
    """A new directory and the lock that says it is in use; removes those of servers that were killed."""
    top = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else tempfile.gettempdir()
    for path in Path(top).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another user's, in use, or removed by another server
            lock = _locked(str(path))
            try:
                remove(str(path))
            finally:
                os.close(lock)
    created = tempfile.mkdtemp(prefix=_PREFIX, dir=top)
    tempfile.tempdir = None
    return created, _locked(created)


def _locked(path: str) -> int:
    """The descriptor of a directory that this process alone has locked. Raises BlockingIOError."""
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def remove(path: str) -> None:
    """Remove the directory and everything inside."""
    _empty(path)
    os.rmdir(path)  # noqa: PTH106


def own(confined: Confinement) -> None:
    """Give the directory to the uid of the runs, and close it to everybody else. Called once."""
    if not confined.own_pids:
        os.chown(confined.tmp, *confinement.owner(confined))
        os.chmod(confined.tmp, 0o700)  # noqa: PTH101


def prepare(confined: Confinement, run: Limits) -> None:
    """Set up the tmp before a run."""
    if confined.own_pids:
        namespaces.mount_tmp(run, *confinement.owner(confined))


def discard(confined: Confinement) -> None:
    """Delete the tmp's files after a run, when its processes are gone."""
    if confined.own_pids:
        namespaces.hide_streams()
        namespaces.unmount_tmp()
    else:
        _empty(confined.tmp)


def exceeds(confined: Confinement, run: Limits, pids: Sequence[int]) -> bool:
    """Whether the directory exceeds its limits. A program can exceed them between two checks, and is stopped at the second.

    What cannot be measured counts as too much: a directory that nobody may list, or one nested too deep. So do deleted files that
    are still open or mapped, as far as ``pids``, the run's processes, show them.
    """
    total = files = 0
    pending = [(confined.tmp, 0)]
    while pending:
        directory, depth = pending.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    files += 1
                    if entry.is_dir(follow_symlinks=False):
                        pending.append((entry.path, depth + 1))
        except (FileNotFoundError, NotADirectoryError):
            continue  # removed meanwhile
        except OSError:
            return True
        if total > run.tmp_bytes or files > run.tmp_files or depth > _MAX_DEPTH:
            return True
    return total + _deleted_bytes(confined, run, pids) > run.tmp_bytes


def _deleted_bytes(confined: Confinement, run: Limits, pids: Sequence[int]) -> int:
    """Bytes of deleted files that processes hold open; of a mapped one its largest possible size."""
    sizes: dict[int, int] = {}
    for index, pid in enumerate(pids):
        try:
            sizes |= _deleted_files(pid, confined.tmp, run.output_bytes)
        except (FileNotFoundError, ProcessLookupError):
            continue  # the process has ended
        except PermissionError:
            sizes |= _deleted_files_seen_as(confined, index, pid, run.output_bytes)
    return sum(sizes.values())


def _deleted_files_seen_as(confined: Confinement, index: int, pid: int, largest: int) -> dict[int, int]:
    """The same, seen by the process's own user: root in a container may not look at another's process."""
    try:
        if confined.uids is not None:
            kernel.act_as(confined.uids[min(index, 1)], confined.uids[min(index, 1)])
        return _deleted_files(pid, confined.tmp, largest)
    except OSError:
        return {}  # it has ended, or is about to confine itself and holds nothing yet
    finally:
        if confined.uids is not None:
            kernel.act_as(os.getuid(), os.getgid())


def _deleted_files(pid: int, tmp: str, largest: int) -> dict[int, int]:
    """Bytes by inode of the deleted files on the tmp's device that a process has mapped or open."""
    sizes: dict[int, int] = {}
    device = Path(tmp).stat().st_dev
    with open(f"/proc/{pid}/maps") as mappings:  # noqa: PTH123 - called twenty times a second
        for line in mappings:
            if tmp in line and line.endswith(" (deleted)\n"):
                sizes[int(line.split(maxsplit=5)[4])] = largest
    for descriptor in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - called twenty times a second
        with suppress(FileNotFoundError):
            status = os.stat(f"/proc/{pid}/fd/{descriptor}")  # noqa: PTH116 - called twenty times a second
            if status.st_dev == device and status.st_nlink == 0 and stat.S_ISREG(status.st_mode):
                sizes[status.st_ino] = status.st_blocks * 512
    return sizes


def _empty(top: str) -> None:
    """Remove everything inside. The entries of directories move up to ``top`` first, so that no path gets too long."""
    moved, prefix = 0, secrets.token_hex(16)
    directory = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while names := os.listdir(directory):  # noqa: PTH208 - of a descriptor
            for name in names:
                if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=directory)
                    continue
                moved = _flatten(directory, name, prefix, moved)
                os.rmdir(name, dir_fd=directory)
    finally:
        os.close(directory)


def _flatten(directory: int, name: str, prefix: str, moved: int) -> int:
    """Move a subdirectory's entries one level up under names that no program could guess. Returns the number of moves so far."""
    os.chmod(name, 0o700, dir_fd=directory)
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    try:
        for entry in os.listdir(inner):  # noqa: PTH208 - of a descriptor
            os.rename(entry, f"{prefix}{moved}", src_dir_fd=inner, dst_dir_fd=directory)
            moved += 1
    finally:
        os.close(inner)
    return moved
