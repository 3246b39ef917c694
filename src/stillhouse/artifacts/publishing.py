"""Publish to an output's URI: parts while the stage runs, then all other files, then the manifest that makes them count."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stillhouse.artifacts import claiming, naming, store
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.digests import sha256
from stillhouse.artifacts.lease import Lease, is_claim
from stillhouse.artifacts.manifest import MANIFEST, File, Manifest
from stillhouse.errors import LeaseLost

RESUMED = "resume/"
"""Files below this directory are published early, like parts, and carry the attempt in their names."""


@dataclass
class Publisher:
    """What one process publishes of an attempt. With several ranks, rank 0 holds the lease, and the others publish parts alone."""

    uri: str
    attempt: str
    left: Mapping[str, str]
    """File name -> stored name, of what earlier attempts at the same work left."""
    lease: Lease | None
    reusable: dict[str, str] = field(default_factory=dict)
    """Those of them that were checked, and this process's own uploads: none is uploaded again."""

    def publish_part(self, root: Path, path: Path) -> None:
        """Publish one file below ``root`` before the others, under a name of this attempt's own."""
        name = path.relative_to(root).as_posix()
        self._check()
        before, stored = self.reusable.get(name), naming.tagged(name, self.attempt, sha256(path))
        store.store_of(self.uri).upload(path, store.join(self.uri, stored))
        self.reusable[name] = stored
        if before not in {None, stored} and f".{self.attempt}-" in str(before):
            store.store_of(self.uri).remove(store.join(self.uri, str(before)))

    def retract(self, root: Path, path: Path) -> None:
        """Remove a file that this attempt (on any rank) or an earlier one published."""
        name = path.relative_to(root).as_posix()
        self._check()
        stored = self.reusable.pop(name, None) or self.left.get(name) or self._published_by_a_rank(name)
        if stored:
            store.store_of(self.uri).remove(store.join(self.uri, stored))

    def upload_all(self, root: Path) -> dict[str, File]:
        """Publish every file below ``root`` that is not there yet, and describe them all."""
        paths = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()}
        if self.lease:
            self.lease.note_files([name for name in paths if not _is_part(name)])
        return {name: self._upload(name, path) for name, path in paths.items()}

    def publish(self, manifest: Manifest) -> None:
        """Write the manifest, last, and clean up. Raises LeaseLost if another attempt published first, whatever its work."""
        self._check()
        try:
            manifests.publish(self.uri, manifest)
        except store.AlreadyThere as error:
            msg = f"{self.uri}: another process published there while this one ran; its result stands, this one was not published"
            raise LeaseLost(msg) from error
        if self.lease:
            self.lease.close()
        complete(self.uri, manifest)

    def withdraw(self, winner: Manifest) -> None:
        """Remove what this attempt published, except what another attempt's result lists."""
        listed = set(winner.stored.values())
        for stored in store.store_of(self.uri).names(self.uri):
            origin = naming.untagged(stored)
            if origin and origin[1] == self.attempt and stored not in listed:
                store.store_of(self.uri).remove(store.join(self.uri, stored))
        complete(self.uri, winner)

    def _upload(self, name: str, path: Path) -> File:
        digest = sha256(path)
        tagged = naming.tagged(name, self.attempt, digest)
        earlier = self.reusable.get(name)
        origin = naming.untagged(earlier) if earlier else None
        if earlier and origin and digest.startswith(origin[2]):
            stored = earlier
        else:
            self._check()
            stored = self._upload_new(path, name, tagged)
        described = {"bytes": path.stat().st_size, "rows": _rows(path), "stored": None if stored == name else stored}
        return File(sha256=digest, **described)

    def _upload_new(self, path: Path, name: str, tagged: str) -> str:
        """Upload under the plain name; a part, or a file whose name another attempt took, under this attempt's own."""
        output_store = store.store_of(self.uri)
        if not _is_part(name):
            try:
                output_store.upload(path, store.join(self.uri, name), only_if_absent=True)
            except store.AlreadyThere:
                pass
            else:
                return name
        output_store.upload(path, store.join(self.uri, tagged))
        return tagged

    def _published_by_a_rank(self, name: str) -> str | None:
        names = store.store_of(self.uri).names(self.uri)
        origins = ((stored, naming.untagged(stored)) for stored in names)
        return next((stored for stored, origin in origins if origin and origin[:2] == (name, self.attempt)), None)

    def _check(self) -> None:
        if self.lease:
            self.lease.check()


def complete(uri: str, manifest: Manifest) -> None:
    """Finish a published output: write the pointer and remove stray files. A later skip repeats this if a process died here."""
    manifests.point(uri, manifest)
    claim, _ = claiming.read(uri)
    if claim is None:
        return
    output_store, listed = store.store_of(uri), {*manifest.stored.values(), MANIFEST}
    names = [name for name in output_store.names(uri) if claim.owns(name) and name not in listed]
    for name in sorted(names, key=is_claim):  # the claim last: only it says who owns the others
        output_store.remove(store.join(uri, name))
    output_store.tidy(uri)


def _is_part(name: str) -> bool:
    return name.endswith(".parquet") or name.startswith(RESUMED)


def _rows(path: Path) -> int | None:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows) if path.suffix == ".parquet" else None
