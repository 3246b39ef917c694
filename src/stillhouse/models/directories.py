"""Models in a directory of a disk or of S3: pinned by the sha256 of every file, which is computed once and kept beside them.

A directory of a disk is used where it is. One of S3 is fetched into the cache, once for each state of its files.
"""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from stillhouse.artifacts import naming, store
from stillhouse.artifacts.digests import sha256
from stillhouse.errors import DamagedArtifact, MissingInput, StoreFailed, StoreRefused
from stillhouse.execution import progress_bar
from stillhouse.models import weight_files
from stillhouse.models.cache import filled, own_cache, require_room
from stillhouse.models.pins import Pin
from stillhouse.models.references import REPO

HASHES = ".stillhouse-hashes.json"
"""Beside a model's files, or in the cache if that place may not be written: each file's stamp and sha256."""
READERS = 4
"""Files read at a time."""

Stamps = dict[str, tuple[int, str]]
"""Name -> bytes, and a stamp that changes when the file is written."""


def pin(uri: str) -> Pin:
    """The pin of the files that lie there now. Raises MissingInput if there is no model, or its weights may not be loaded."""
    uri = store.absolute(uri)
    stamps = _stamps(uri)
    weight_files.chosen([name for name in stamps if "/" not in name], uri)
    identity = json.dumps(sorted(_hashes(uri, stamps).items()))
    return Pin("directory", uri, f"sha256-{hashlib.sha256(identity.encode()).hexdigest()}")


def fetch(uri: str) -> Path:
    """The local directory with the model's files."""
    uri = store.absolute(uri)
    return store.local_path(uri) if uri.startswith("file://") else _fetched(uri, _stamps(uri))


def _stamps(uri: str) -> Stamps:
    """The model's files. Raises MissingInput for an empty or absent directory."""
    stamps = store.store_of(uri).stamps(uri)
    visible = {name: stamp for name, stamp in stamps.items() if not any(part.startswith(".") for part in name.split("/"))}
    if not visible:
        msg = f"model {uri}: there is no such directory, or it is empty; check the path{_hub_hint(uri)}"
        raise MissingInput(msg)
    return visible


def _hub_hint(uri: str) -> str:
    """What a relative path of two words may have been meant to be."""
    path = store.local_path(uri) if uri.startswith("file://") else Path("/")
    relative = path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else ""
    return f"; a model on the hub is written hf://{relative}" if REPO.fullmatch(relative) else ""


def _hashes(uri: str, stamps: Stamps) -> dict[str, str]:
    """Each file's sha256: as it was recorded if its stamp has not changed since, else computed, and recorded for the next time."""
    recorded = _recorded(uri)
    known = {name: recorded[name][1] for name, (_, stamp) in stamps.items() if stamp and recorded.get(name, ("",))[0] == stamp}
    fresh = sorted(stamps.keys() - known)
    if not fresh:
        return known
    if uri.startswith("file://"):
        known |= _digests(store.local_path(uri), fresh)
    else:
        known = json.loads((_fetched(uri, stamps) / HASHES).read_bytes())
    _record(uri, {name: (stamp, known[name]) for name, (_, stamp) in stamps.items() if stamp})
    return known


def _digests(root: Path, names: list[str]) -> dict[str, str]:
    total = sum((root / name).stat().st_size for name in names)
    digests: dict[str, str] = {}
    done = 0
    with ThreadPoolExecutor(READERS) as pool:
        for name, digest in zip(names, pool.map(lambda name: sha256(root / name), names), strict=True):
            digests[name] = digest
            done += (root / name).stat().st_size
            if total > 10**9:
                progress_bar.show(done, total, f"bytes of {root} hashed")
    return digests


def _fetched(uri: str, stamps: Stamps) -> Path:
    """The directory of S3 in the cache, with the sha256 of its files."""
    key = hashlib.sha256(json.dumps([uri, sorted(stamps.items())]).encode()).hexdigest()[:32]

    def fill(directory: Path) -> None:
        naming.check(stamps, uri)
        total = sum(size for size, _ in stamps.values())
        require_room(directory, total, uri)
        digests, done = dict[str, str](), 0
        with ThreadPoolExecutor(READERS) as pool:
            names = sorted(stamps)
            for name, digest in zip(names, pool.map(lambda name: _download(uri, name, directory), names), strict=True):
                digests[name] = digest
                done += stamps[name][0]
                progress_bar.show(done, total, f"bytes of {uri}")
        (directory / HASHES).write_text(json.dumps(digests), encoding="utf-8")

    return filled(f"directories/{key}", fill)


def _download(uri: str, name: str, directory: Path) -> str:
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    return store.store_of(uri).download(uri, name, directory / name)


def _recorded(uri: str) -> dict[str, tuple[str, str]]:
    """What was recorded of the files, beside them or in the cache; empty if nothing was, or it cannot be read."""
    for data in (store.store_of(uri).read(store.join(uri, HASHES)), _read_own(uri)):
        with suppress(ValueError, TypeError, AttributeError):
            return {name: (str(stamp), str(digest)) for name, (stamp, digest) in json.loads(data or b"").items()}
    return {}


def _record(uri: str, hashes: Mapping[str, tuple[str, str]]) -> None:
    data = json.dumps(hashes, indent=1).encode()
    try:
        store.store_of(uri).write(store.join(uri, HASHES), data)
    except (StoreFailed, StoreRefused, DamagedArtifact):  # the model lies where only others may write
        own = _own(uri)
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_bytes(data)


def _read_own(uri: str) -> bytes:
    return _own(uri).read_bytes() if _own(uri).is_file() else b""


def _own(uri: str) -> Path:
    return own_cache() / "hashes" / f"{hashlib.sha256(uri.encode()).hexdigest()[:32]}.json"
