"""Artifacts by URI: ``file://`` here, ``s3://`` in ``s3.py``.

A URI names a directory of files. Credentials and endpoints come from the environment alone (``AWS_ENDPOINT_URL``,
``AWS_ACCESS_KEY_ID``, …), so they never reach a config or a fingerprint.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from stillhouse.artifacts import naming
from stillhouse.artifacts.digests import sha256
from stillhouse.errors import BadConfig, DamagedArtifact, StoreFailed

LISTINGS = 100
"""How often a file that was listed and is gone when it is read is looked for again."""


class AlreadyThere(Exception):
    """A conditional write found other content than it expected: another writer was first."""


class Store(Protocol):
    """One kind of storage. ``uri`` arguments name a file, or a directory if the docstring says so."""

    def read(self, uri: str) -> bytes | None:
        """The file's bytes, None if there is no such file."""

    def versions(self, uri: str) -> list[int]:
        """The numbers N, ascending, of the files ``{uri}.N``: what ``swap`` writes."""

    def write(self, uri: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """Write whole or not at all. With ``only_if_absent``, raises AlreadyThere if other content lies there."""

    def upload(self, path: Path, uri: str, *, only_if_absent: bool = False) -> None:
        """Copy a local file to ``uri``, whole or not at all. With ``only_if_absent`` as ``write``."""

    def download(self, uri: str, name: str, target: Path) -> str:
        """Bring one file of the directory ``uri`` to the local path ``target``, not to be written to. Returns its sha256."""

    def names(self, uri: str) -> list[str]:
        """The files under the directory ``uri``, as sorted relative paths; empty if there is none."""

    def holds(self, uri: str) -> bool:
        """Whether there is such a file."""

    def remove(self, uri: str) -> None:
        """Delete one file; nothing happens if it is not there."""

    def tidy(self, uri: str) -> None:
        """Remove what killed writers left in the directory ``uri`` besides files: half-written copies, empty directories."""

    def read_versioned(self, uri: str) -> tuple[bytes, int] | None:
        """What ``swap`` wrote last, and its version; None if there is nothing."""
        for _ in range(LISTINGS):
            versions = self.versions(uri)
            if not versions:
                return None
            data = self.read(f"{uri}.{versions[-1]}")
            if data is not None:  # else replaced since the listing: look again
                return data, versions[-1]
        msg = f"{uri}.{versions[-1]}: is listed and cannot be read; remove it, if no other process writes there"
        raise StoreFailed(msg)

    def swap(self, uri: str, data: bytes, version: int | None) -> int:
        """Compare and swap: replace that version (None: write the first). Returns the new version.

        Version 7 of ``claim.json`` is the file ``claim.json.7``: a store need only guarantee that a single writer can create
        it. (``If-Match`` would say the same in one request, and SeaweedFS lets two writers through.) Raises AlreadyThere if another
        version is the last one.
        """
        number = (version or 0) + 1
        self.write(f"{uri}.{number}", data, only_if_absent=True)
        versions = self.versions(uri)
        if versions[-2:] != ([number] if version is None else [number - 1, number]):
            # Others wrote newer versions, or removed the file, while this writer slept: it lost.
            self.remove(f"{uri}.{number}")
            raise AlreadyThere(uri)
        # The one before stays: the next swap looks for it, and a reader who lists the directory meanwhile always finds one.
        for older in versions[:-2]:
            self.remove(f"{uri}.{older}")
        return number

    def fetch(self, uri: str, scratch: Path, names: Sequence[str] | None = None) -> Path:
        """A fresh local directory below ``scratch`` with these files of the directory ``uri``, or all; not to be written to."""
        wanted = self.names(uri) if names is None else names
        naming.check(wanted, uri)
        directory = fresh_directory(scratch)
        for name in wanted:
            self.download(uri, name, directory / name)
        return directory


def absolute(uri: str) -> str:
    """The URI in full: a plain path becomes ``file://``; no trailing slash.

    Raises BadConfig for another scheme, ``#``, ``?``, ``..``, an empty segment or a control character.
    """
    if not uri.isprintable():
        msg = f"{uri!r}: a URI with a control character; write file://, s3:// or a plain path"
        raise BadConfig(msg)
    if "://" not in uri:
        return Path(os.path.abspath(os.path.expanduser(uri))).as_uri()  # noqa: PTH100, PTH111  # ~nobody is a name like others
    scheme = urlsplit(uri).scheme
    if scheme not in SCHEMES:
        msg = f"{uri}: no store for {scheme}://; use file://, s3:// or a plain path"
        raise BadConfig(msg)
    _check_segments(uri, scheme)
    return uri.rstrip("/")


def _check_segments(uri: str, scheme: str) -> None:
    """Raise BadConfig for a URI that a store would not read as it is written."""
    for sign in "#?":
        if sign in uri:
            msg = f"{uri}: a URI with {sign!r}, which is cut off there; choose a name without it"
            raise BadConfig(msg)
    host, _, path = uri.partition("://")[2].rstrip("/").partition("/")
    if scheme == "file" and host not in {"", "localhost"}:
        msg = f"{uri}: files of the host {host} cannot be reached; write file:///PATH, with three slashes"
        raise BadConfig(msg)
    plain = unquote(path) if scheme == "file" else path
    if plain and (not plain.isprintable() or any(segment in {"", ".", ".."} for segment in plain.split("/"))):
        msg = f"{uri}: a URI with an empty, '.' or '..' segment or a control character; write the path in full"
        raise BadConfig(msg)


def store_of(uri: str) -> Store:
    """The store that serves the URI."""
    if absolute(uri).startswith("s3://"):
        from stillhouse.artifacts.s3 import S3Store

        return S3Store()
    return FileStore()


def join(uri: str, *names: str) -> str:
    """The URI of something below a directory URI."""
    return "/".join((uri.rstrip("/"), *names))


def artifact_name(uri: str) -> str:
    """``laptop-anneal`` of ``…/sft/laptop-anneal/demo``."""
    return uri.split("/")[-2]


def local_path(uri: str) -> Path:
    """The path a ``file://`` URI names."""
    return Path(unquote(urlsplit(uri).path))


def fresh_directory(scratch: Path) -> Path:
    """A new directory below ``scratch``."""
    scratch.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=scratch))


def numbered(names: Iterable[str], name: str) -> list[int]:
    """The numbers N, ascending, for which ``{name}.N`` is among the names."""
    ends = (other.removeprefix(f"{name}.") for other in names if other.startswith(f"{name}."))
    return sorted(int(end) for end in ends if end.isdecimal())


class FileStore(Store):
    """Directories of this machine, or of a disk that machines share."""

    def read(self, uri: str) -> bytes | None:
        """See Store."""
        with _translated(uri):
            try:
                return local_path(uri).read_bytes()
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
            if not _put(unfinished, target, only_if_absent=only_if_absent) and target.read_bytes() != data:
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
            if not _put(unfinished, target, only_if_absent=only_if_absent) and sha256(target) != sha256(path):
                raise AlreadyThere(uri)

    def download(self, uri: str, name: str, target: Path) -> str:
        """See Store. Nothing is copied: a link. Raises DamagedArtifact for a file that is itself a link out of the directory."""
        source = local_path(uri)
        real = (source / name).resolve()
        if not real.is_relative_to(source.resolve()):
            msg = f"{uri}: {name} is a link to {real}, outside the artifact; nothing was read: make the artifact again"
            raise DamagedArtifact(msg)
        with _translated(uri):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source / name)
        return sha256(real)

    def names(self, uri: str) -> list[str]:
        """See Store."""
        root = local_path(uri)
        # os.walk passes over directories that another process removes meanwhile.
        walked = os.walk(root, onerror=_raise_unless_gone)
        paths = (Path(directory, name) for directory, subs, files in walked for name in (*subs, *files))
        with _translated(uri):
            names = (path for path in paths if path.is_symlink() or path.is_file())
            return sorted(path.relative_to(root).as_posix() for path in names if not _HALF_WRITTEN.fullmatch(path.name))

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


SCHEMES = ("file", "s3")
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
    """Turn an error of the operating system into a StoreFailed that names the URI."""
    try:
        yield
    except OSError as error:
        msg = f"{uri}: {error.strerror or error}; check that the path is writable and the disk has room"
        raise StoreFailed(msg) from error
