"""What every kind of storage does, and what a store builds from that: versions of a file, and fetching."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from stillhouse.artifacts import naming
from stillhouse.artifacts.scratch import fresh_directory
from stillhouse.errors import StoreFailed

LISTINGS = 100
"""How often a file that was listed, and is gone when it is read, is looked for again."""


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

    def folders(self, uri: str) -> list[str]:
        """The directories right below the directory ``uri``, sorted, whatever they hold; empty if there is none."""

    def stamps(self, uri: str) -> dict[str, tuple[int, str]]:
        """Name -> bytes, and a stamp that changes when the file is written (empty if unsure), of the directory ``uri``'s files."""

    def holds(self, uri: str) -> bool:
        """Whether there is such a file."""

    def remove(self, uri: str) -> None:
        """Delete one file; nothing happens if it is not there."""

    def tidy(self, uri: str) -> None:
        """Remove what killed writers left in the directory ``uri`` besides files: half-written copies, empty directories."""

    def read_versioned(self, uri: str) -> tuple[bytes, int] | None:
        """What ``swap`` wrote last, and its version; None if there is nothing."""
        for _ in range(LISTINGS):
            if not (versions := self.versions(uri)):
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


def numbered(names: Iterable[str], name: str) -> list[int]:
    """The numbers N, ascending, for which ``{name}.N`` is among the names."""
    ends = (other.removeprefix(f"{name}.") for other in names if other.startswith(f"{name}."))
    return sorted(int(end) for end in ends if end.isdecimal())
