"""Check the files of an artifact against its manifest before anything reads them."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import naming, store
from stillhouse.artifacts.manifest import File, Manifest
from stillhouse.artifacts.scratch import fresh_directory, scratch_directory
from stillhouse.errors import DamagedArtifact, MissingInput, StillhouseError

READERS = 4
"""Files fetched and checked at a time."""


def fetch(uri: str, scratch: Path, names: Sequence[str] | None = None, label: str = "artifact") -> Path:
    """A fresh local directory with the files that the manifest at ``uri`` lists, or with ``names`` of them; do not write to it.

    Raises MissingInput if a file is gone, DamagedArtifact if one differs from what was published.
    """
    manifest = manifests.load(uri, label)
    uri = store.absolute(uri)
    files = {name: manifest.files[name] for name in sorted(manifest.files if names is None else names)}
    if absent := gone(uri, manifest, files):
        msg = f"{label} {uri}: its manifest lists {absent[0]}, which is gone (files gone: {len(absent)}); make the artifact again"
        raise MissingInput(msg)
    directory = fresh_directory(scratch)
    places = {name: manifests.location(uri, manifest, name) for name in files}
    with ThreadPoolExecutor(READERS) as pool:
        for problem in pool.map(lambda name: _fetch_checked(places[name], name, files[name], directory / name), files):
            if problem:
                msg = f"{label} {uri}: {problem}; restore the file, or make the artifact again under another version"
                raise DamagedArtifact(msg)
    return directory


def gone(uri: str, manifest: Manifest, names: Iterable[str] | None = None) -> list[str]:
    """The files of a manifest, or those of them with these names, that are no longer in the store."""
    places = {name: manifests.location(uri, manifest, name) for name in (manifest.files if names is None else names)}
    present = {directory: set(store.store_of(directory).names(directory)) for directory in {uri for uri, _ in places.values()}}
    return [name for name, (directory, stored) in places.items() if stored not in present[directory]]


def fetch_parts(uri: str, parts: Mapping[str, str], scratch: Path) -> tuple[Path, dict[str, str]]:
    """A local directory with the parts that earlier attempts left, and their stored names; damaged parts are left out."""
    naming.check(parts, uri)
    directory, sound = fresh_directory(scratch), dict[str, str]()
    for name, stored in parts.items():
        origin = naming.untagged(stored)
        digest = store.store_of(uri).download(uri, stored, directory / name)
        if origin and digest.startswith(origin[2]):
            sound[name] = stored
            continue
        (directory / name).unlink()
        print(f"  {uri}: {stored} of an earlier attempt is damaged and is made again", file=sys.stderr, flush=True)
    return directory, sound


def problems(uri: str, *, deep: bool = False) -> Iterator[tuple[str, str | None]]:
    """Check an artifact, and with ``deep`` its whole lineage. Yields each URI with what is wrong there, or None."""
    seen: set[str] = set()
    pending = [store.absolute(uri)]
    while pending:
        artifact = pending.pop(0)
        if artifact in seen:
            continue
        seen.add(artifact)
        try:
            manifest = manifests.load(artifact)
            with scratch_directory() as scratch:
                for name in manifest.files:  # one by one: an artifact may be larger than the disk
                    fetched = fetch(artifact, scratch, [name])
                    (fetched / name).unlink()
        except StillhouseError as error:
            yield artifact, str(error)
            continue
        yield artifact, None
        if deep:
            pending += [link.uri for links in manifest.inputs.values() for link in links]
            pending += [model.uri for model in manifest.models.values() if model.kind == "artifact"]


def _fetch_checked(place: tuple[str, str], name: str, file: File, target: Path) -> str | None:
    """Fetch one file. Returns what is wrong with it, or None; a damaged transfer is repeated once."""
    problem = None
    for _ in range(2):
        target.unlink(missing_ok=True)
        digest = store.store_of(place[0]).download(*place, target)
        problem = _difference(name, file, digest, target)
        if problem is None:
            return None
    return problem


def _difference(name: str, file: File, digest: str, path: Path) -> str | None:
    size = path.stat().st_size
    if size != file.bytes:
        return f"{name} is damaged: {size:,} bytes, the manifest says {file.bytes:,}"
    if digest != file.sha256:
        return f"{name} is damaged: its sha256 is {digest[:16]}, the manifest says {file.sha256[:16]}"
    rows = _row_count(path) if path.suffix == ".parquet" else None
    if rows != file.rows:
        return f"{name} has {rows} rows, the manifest says {file.rows}"
    return None


def _row_count(path: Path) -> int | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException):
        return None
