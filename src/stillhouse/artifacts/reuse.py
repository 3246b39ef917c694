"""Never make a thing twice: an index of fingerprints names the version that holds, or is making, the result of each.

The index of a stage lies in ``{root}/{stage}/.fingerprints/{fingerprint}/``. An entry is written before the work begins, so that a
second run of the same work waits for the first. An entry whose version is gone, or whose writer gave up, is replaced by
compare-and-swap. A result is reused by a manifest that lists the files where they lie: nothing is copied.
"""

import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from stillhouse.artifacts import claiming, integrity, naming, store
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.claiming import Watched
from stillhouse.artifacts.lease import Work
from stillhouse.artifacts.manifest import File, Link, Manifest
from stillhouse.artifacts.publishing import Publisher
from stillhouse.errors import DamagedArtifact, StoreFailed
from stillhouse.vocabulary.masking import one_line

INDEX = ".fingerprints"


def reserve(target: str, work: Work, attempt: str) -> str | None:
    """Register that the work is done at ``target``, unless another version holds its result: then that one's URI.

    Waits while another version's writer, which renews its claim, does the same work. ``attempt`` is this process's own: another
    name of the target, such as a link, is not waited for.
    """
    watched: dict[str, Watched] = {}
    while True:
        other, version = _entry(target, work.fingerprint)
        if other == target:
            return None
        if other is not None:
            if published(other, work.fingerprint) is not None:
                return other
            claim, _ = claiming.read(other)
            if claim is not None and claim.owner.attempt == attempt:
                return None
            watch = watched.setdefault(other, Watched(other, work))
            if claim is not None and claim.work.fingerprint == work.fingerprint and not watch.is_free(claim):
                time.sleep(watch.poll_s)
                continue
        if _replace(target, work.fingerprint, version):
            return None


def find(target: str, fingerprint: str) -> str | None:
    """The URI of another version that holds the result of this fingerprint, None if none does."""
    other, _ = _entry(target, fingerprint)
    return other if other not in {None, target} and published(str(other), fingerprint) is not None else None


def named(target: str, fingerprint: str) -> str | None:
    """The version that the index names for a fingerprint, whether or not it is published."""
    return _entry(target, fingerprint)[0]


def note(target: str, fingerprint: str) -> None:
    """Register a result that several processes made together, unless the index names another version that holds it."""
    other, version = _entry(target, fingerprint)
    if other is None or (other != target and published(other, fingerprint) is None):
        _replace(target, fingerprint, version)


def published(uri: str, fingerprint: str) -> Manifest | None:
    """The manifest at ``uri``, if it has this fingerprint, can be read, and lists no file that is gone."""
    try:
        manifest = manifests.find(uri)
    except DamagedArtifact as error:
        print(f"  its result is not reused: {one_line(error)}", file=sys.stderr, flush=True)
        return None
    if manifest is None or manifest.fingerprint != fingerprint or integrity.gone(uri, manifest):
        return None
    return manifest


def publish(origin: str, publisher: Publisher, inputs: Mapping[str, list[Link]]) -> Manifest:
    """Publish a manifest that points to the files of the result at ``origin``.

    Raises StoreFailed if that version was removed at the same moment: the next try makes the result again.
    """
    source = manifests.load(origin)
    manifest = pointing(source, origin, publisher.uri, inputs)
    publisher.publish(manifest)
    if manifests.find(origin) is None:  # `prune` removes a manifest before it looks for those that point to it
        store.store_of(publisher.uri).remove(store.join(publisher.uri, manifests.MANIFEST))
        msg = f"{publisher.uri}: {origin}, which held the same result, was removed at this moment; run the same command again"
        raise StoreFailed(msg)
    return manifest


def pointing(source: Manifest, origin: str, target: str, inputs: Mapping[str, list[Link]]) -> Manifest:
    """The manifest of ``target`` with the files of the artifact at ``origin``."""
    below, version = naming.split_shard(origin)[1], naming.version_of(origin)

    def stored(name: str, file: File) -> str:
        return store.join(below, file.stored or name) if below else file.stored or name

    files = {
        name: file if file.at else file.model_copy(update={"at": version, "stored": stored(name, file)})
        for name, file in source.files.items()
    }
    return source.model_copy(
        update={
            "version": naming.split_shard(target)[0].rsplit("/", 1)[-1], "files": files, "inputs": dict(inputs),
            "same_as": source.same_as or version,
            "provenance": manifests.provenance(datetime.now(UTC), source.provenance.mlflow_run_id),
        }
    )  # fmt: skip


def _entry(target: str, fingerprint: str) -> tuple[str | None, int | None]:
    """The URI that the index names for a version's or a shard's result, and the entry's version; an unreadable one names none."""
    versioned = store.store_of(target).read_versioned(_entry_uri(target, fingerprint))
    if versioned is None:
        return None, None
    try:
        version = versioned[0].decode()
        naming.check_version(version, target)
    except (UnicodeDecodeError, DamagedArtifact):
        return None, versioned[1]
    below = naming.split_shard(target)[1]
    uri = store.join(naming.stage_root(target), version)
    return (store.join(uri, below) if below else uri), versioned[1]


def _replace(target: str, fingerprint: str, version: int | None) -> bool:
    """Name the target in the index; False if another process was faster."""
    try:
        store.store_of(target).swap(_entry_uri(target, fingerprint), naming.version_of(target).encode(), version)
    except store.AlreadyThere:
        return False
    return True


def _entry_uri(target: str, fingerprint: str) -> str:
    below = naming.split_shard(target)[1]
    return store.join(naming.stage_root(target), INDEX, fingerprint, below.replace("/", "-") or "whole")
