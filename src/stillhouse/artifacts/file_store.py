"""Artifacts on disks of this machine."""

import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stillhouse.artifacts.digests import sha256
from stillhouse.artifacts.storage import AlreadyThere, Store, numbered
from stillhouse.errors import DamagedArtifact, StoreFailed, StoreRefused

REFUSALS = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP,
}  # fmt: skip
"""Errors that a repeated call would meet again."""
RECENT_NS = 2_000_000_000
"""Some disks keep times to two seconds."""


def local_path(uri: str) -> Path:
    """The path a ``file://`` URI names."""
    return Path(unquote(urlsplit(uri).path))


class FileStore(Store):
    """Directories of this machine, or of a disk that machines share."""

    def read(self, uri: str) -> bytes | None:
        """See Store. A pipe in a file's place is none: reading it might never end."""
        with _translated(uri):
            try:
                target = local_path(uri)
                return target.read_bytes() if target.is_file() else None
            except (FileNotFoundError, NotADirectoryError):
                return None

    def versions(self, uri: str) -> list[int]:
        """See Store."""
        target = local_path(uri)
        with _translated(uri):
            try:
                names = [path.name for path in target.parent.iterdir()]
            except (FileNotFoundError, NotADirectoryError):
                return []
        return numbered(names, target.name)

    def write(self, uri: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """See Store. A link to a finished temporary file makes the write whole and the condition atomic."""
        target = local_path(uri)
        with _translated(uri), _unfinished(target) as unfinished:
            unfinished.write_bytes(data)
            if not _put(unfinished, target, only_if_absent=only_if_absent) and self.read(uri) != data:
                raise AlreadyThere(uri)

    def upload(self, path: Path, uri: str, *, only_if_absent: bool = False) -> None:
        """See Store. Scratch on the same disk is linked, not copied."""
        target = local_path(uri)
        with _translated(uri), _unfinished(target) as unfinished:
            unfinished.unlink()
            try:
                os.link(path.resolve(), unfinished)  # a link's own name would be linked, not its file
            except OSError:
                shutil.copyfile(path, unfinished)
            is_new = _put(unfinished, target, only_if_absent=only_if_absent)
            if not is_new and not (target.is_file() and sha256(target) == sha256(path)):
                raise AlreadyThere(uri)

    def download(self, uri: str, name: str, target: Path) -> str:
        """See Store. Nothing is copied: a link. Raises DamagedArtifact for a link out of the directory, or a pipe."""
        source = local_path(uri)
        real = (source / name).resolve()
        if not real.is_relative_to(source.resolve()):
            msg = f"{uri}: {name} is a link to {real}, outside the artifact; nothing was read: make the artifact again"
            raise DamagedArtifact(msg)
        if real.exists() and not real.is_file():
            msg = f"{uri}: {name} is no file; nothing was read: make the artifact again"
            raise DamagedArtifact(msg)
        with _translated(uri):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source / name)
        return sha256(real)

    def names(self, uri: str) -> list[str]:
        """See Store. Directories that another process removes meanwhile are passed over; a link to one counts as a file."""
        root = local_path(uri)
        walked = os.walk(root, onerror=_raise_unless_gone)
        with _translated(uri):
            paths = [
                Path(directory, name) for directory, subs, files in walked
                for name in (*files, *(sub for sub in subs if Path(directory, sub).is_symlink()))
            ]  # fmt: skip
            return sorted(path.relative_to(root).as_posix() for path in paths if not _HALF_WRITTEN.fullmatch(path.name))

    def folders(self, uri: str) -> list[str]:
        """See Store."""
        with _translated(uri):
            try:
                return sorted(path.name for path in local_path(uri).iterdir() if path.is_dir())
            except (FileNotFoundError, NotADirectoryError):
                return []

    def stamps(self, uri: str) -> dict[str, tuple[int, str]]:
        """See Store. A file that was written just now may be written again without a change of its time."""
        root, stamps = local_path(uri), dict[str, tuple[int, str]]()
        with _translated(uri):
            for name in filter(lambda name: (root / name).exists(), self.names(uri)):
                status = (root / name).stat()
                settled = time.time_ns() - status.st_mtime_ns > RECENT_NS
                stamps[name] = status.st_size, f"{status.st_size}-{status.st_mtime_ns}" if settled else ""
        return stamps

    def holds(self, uri: str) -> bool:
        """See Store."""
        return local_path(uri).is_file() or local_path(uri).is_symlink()

    def remove(self, uri: str) -> None:
        """See Store."""
        with _translated(uri):
            local_path(uri).unlink(missing_ok=True)

    def tidy(self, uri: str) -> None:
        """See Store."""
        root = local_path(uri)
        with _translated(uri):
            for directory, _, files in os.walk(root, topdown=False):
                for name in filter(_HALF_WRITTEN.fullmatch, files):
                    Path(directory, name).unlink(missing_ok=True)
                if Path(directory) != root:
                    with suppress(OSError):  # not empty
                        Path(directory).rmdir()


_UNFINISHED = ".unfinished"
_HALF_WRITTEN = re.compile(r"\..+\.[a-z0-9_]{8}\.unfinished")
"""The names of the files that ``_unfinished`` makes."""


def _put(unfinished: Path, target: Path, *, only_if_absent: bool) -> bool:
    """Give a complete file its name, once it would survive a power cut; False if the name is taken and may not be replaced."""
    _sync(unfinished)
    if only_if_absent:
        try:
            os.link(unfinished, target)
        except FileExistsError:
            return False
    else:
        unfinished.rename(target)
    _sync(target.parent)
    return True


def _raise_unless_gone(error: OSError) -> None:
    """A directory that cannot be read must not be taken for an empty one."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _sync(path: Path) -> None:
    """Flush a file, or a directory's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """A temporary file beside ``target`` that never outlives the block."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=_UNFINISHED)
    os.fchmod(handle, 0o644)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """Turn an error of the operating system into a StoreRefused or a StoreFailed that names the URI."""
    try:
        yield
    except OSError as error:
        reason = f"{uri}: {error.strerror or error}"
        if error.errno in REFUSALS:
            msg = f"{reason}; choose a directory that this user may write to, and where no file has the name of a directory"
            raise StoreRefused(msg) from error
        msg = f"{reason}; check that the path is writable and the disk has room"
        raise StoreFailed(msg) from error
