"""Put the files of a release where they belong: all that are missing, none over another."""

from collections.abc import Sequence
from pathlib import Path

from stillhouse.artifacts import store
from stillhouse.artifacts.digests import sha256
from stillhouse.errors import StaleOutput

CARD = "README.md"


def deliver(root: Path, names: Sequence[str], directory: str, scratch: Path) -> None:
    """Upload the files of these names below ``root``, in order. Raises StaleOutput, and writes nothing, if another is there."""
    for name in names:
        _refuse_other(root, name, directory, scratch)
    for name in names:
        try:
            store.store_of(directory).upload(root / name, store.join(directory, name), only_if_absent=True)
        except store.AlreadyThere as error:  # another process has just written another one
            raise _taken(name, directory) from error


def _refuse_other(root: Path, name: str, directory: str, scratch: Path) -> None:
    """Raise StaleOutput if a file of this name and other content lies in the directory."""
    there = store.store_of(directory)
    if there.holds(store.join(directory, name)) and there.download(directory, name, scratch / "old" / name) != sha256(root / name):
        raise _taken(name, directory)


def _taken(name: str, directory: str) -> StaleOutput:
    uri = store.join(directory, name)
    return StaleOutput(f"{uri}: another file is there; nothing was overwritten: choose another directory")
