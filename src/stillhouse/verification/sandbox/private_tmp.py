"""The private tmp of a run: a file system in memory if mounts are allowed, else a directory that is measured and emptied."""

import os
import stat

from stillhouse.verification.sandbox import confinement, namespaces
from stillhouse.verification.sandbox.confinement import Confinement
from stillhouse.verification.sandbox.limits import Limits


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
        namespaces.unmount_tmp()
    else:
        _empty(confined.tmp)


def exceeds(confined: Confinement, run: Limits) -> bool:
    """Whether the directory exceeds its limits. A program can exceed them between two checks, and is stopped at the second."""
    total, files, pending = 0, 0, [confined.tmp]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    files += 1
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    if total > run.tmp_bytes or files > run.tmp_files:
                        return True
        except OSError:
            # The program has removed it, or made it unreadable or its path too long: hidden files are removed after the run.
            continue
    return False


def _empty(top: str) -> None:
    """Remove everything inside. The entries of directories move up to ``top`` first, so that no path gets too long."""
    moved = 0
    directory = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while names := os.listdir(directory):  # noqa: PTH208 - of a descriptor
            for name in names:
                if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=directory)
                    continue
                moved = _flatten(directory, name, moved)
                os.rmdir(name, dir_fd=directory)
    finally:
        os.close(directory)


def _flatten(directory: int, name: str, moved: int) -> int:
    """Move a subdirectory's entries one level up under new, unique names. Returns the number of moves so far."""
    os.chmod(name, 0o700, dir_fd=directory)
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    try:
        for entry in os.listdir(inner):  # noqa: PTH208 - of a descriptor
            os.rename(entry, f"\x01{moved}", src_dir_fd=inner, dst_dir_fd=directory)
            moved += 1
    finally:
        os.close(inner)
    return moved
