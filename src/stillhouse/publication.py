"""What lies at an output's URI: parts while the stage runs, then all of its files, then the manifest that makes them count."""

import hashlib
from pathlib import Path

from stillhouse import manifest as manifests
from stillhouse import store
from stillhouse.errors import StaleOutput
from stillhouse.manifest import File, Manifest

CLAIM = "claim.json"
"""Names the fingerprint whose parts lie in an output that has no manifest yet."""


def claim(uri: str, fingerprint: str) -> list[str]:
    """The names of the parts that an earlier try of the same fingerprint left; those of another fingerprint are removed.

    Raises StaleOutput where another process has published since ``execute`` looked: what a manifest lists is never removed.
    """
    there = store.store_of(uri)
    claimed = there.read(store.join(uri, CLAIM))
    # After the claim was read: a publisher writes its manifest first and removes its claim then.
    refuse_if_published(uri)
    names = [name for name in there.names(uri) if not name.startswith("shards/") and name != manifests.MANIFEST]
    if claimed is not None and claimed.decode() == fingerprint:
        return [name for name in names if name != CLAIM]
    for name in names:
        there.remove(store.join(uri, name))
    there.write(store.join(uri, CLAIM), fingerprint.encode())
    return []


def upload(root: Path, path: Path, uri: str) -> None:
    """Publish one file below ``root`` under its relative path."""
    store.store_of(uri).upload(path, store.join(uri, path.relative_to(root).as_posix()))


def retract(root: Path, path: Path, uri: str) -> None:
    """Take back what ``upload`` published."""
    store.store_of(uri).remove(store.join(uri, path.relative_to(root).as_posix()))


def upload_all(root: Path, uri: str) -> dict[str, File]:
    """Upload every file below ``root``, and describe them."""
    described = {}
    for path in sorted(each for each in root.rglob("*") if each.is_file()):
        upload(root, path, uri)
        described[path.relative_to(root).as_posix()] = _describe(path)
    return described


def _describe(path: Path) -> File:
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
    return File(sha256=digest, bytes=path.stat().st_size, rows=rows)


def publish(uri: str, manifest: Manifest) -> None:
    """Write the manifest, last. Raises StaleOutput where another process was faster."""
    try:
        manifests.publish(uri, manifest)
    except store.AlreadyThere as error:
        raise _overtaken(uri) from error
    store.store_of(uri).remove(store.join(uri, CLAIM))


def remove_strays(uri: str, manifest: Manifest) -> None:
    """Remove what was published on the way and is no part of the result, such as a trainer's checkpoints."""
    there = store.store_of(uri)
    for name in set(there.names(uri)) - {*manifest.files, manifests.MANIFEST}:
        if not name.startswith("shards/"):
            there.remove(store.join(uri, name))


def refuse_if_published(uri: str) -> None:
    """Look again before the upload, so that a slower writer does not replace files that a manifest already lists."""
    if manifests.find(uri) is not None:
        raise _overtaken(uri)


def _overtaken(uri: str) -> StaleOutput:
    msg = f"{uri}: another process published there while this one ran; its result stands, this one was not published"
    return StaleOutput(msg)
