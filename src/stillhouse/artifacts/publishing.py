"""What lies at an output's URI: parts while the stage runs, then all of its files, then the manifest that makes them count."""

import hashlib
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import store
from stillhouse.artifacts.manifest import File, Manifest
from stillhouse.errors import MissingInput, StaleOutput

CLAIM = "claim.json"
"""Says whose parts lie in an output that has no manifest yet."""


class Claim(BaseModel):
    """What the parts at an output's URI are made of."""

    model_config = ConfigDict(frozen=True)

    fingerprint: str
    config: dict[str, Any]
    inputs: dict[str, list[str]]
    """Fingerprints by the input's name."""

    def differences(self, before: "Claim") -> str:
        """What is not as it was before, in words."""
        fields = [name for name in {**before.config, **self.config} if before.config.get(name) != self.config.get(name)]
        said = [f"{name} was {before.config.get(name)!r}, is {self.config.get(name)!r}" for name in fields]
        inputs = sorted(name for name in {**before.inputs, **self.inputs} if before.inputs.get(name) != self.inputs.get(name))
        return "; ".join(said + [f"another input {name}" for name in inputs]) or "another version of the stage"


def claim(uri: str, own: Claim, *, resume: bool = False) -> list[str]:
    """The names of the parts that an earlier try of the same fingerprint left; those of another fingerprint are removed.

    With ``resume`` nothing is removed: raises MissingInput where no try left anything, StaleOutput where one of another fingerprint
    did. Raises StaleOutput too where another process published since ``execute`` looked: what a manifest lists is never removed.
    """
    there = store.store_of(uri)
    claimed = _claimed(uri)
    # After the claim was read: a publisher writes its manifest first and removes its claim then.
    refuse_if_published(uri)
    names = [name for name in there.names(uri) if not name.startswith("shards/") and name != manifests.MANIFEST]
    left = [name for name in names if name != CLAIM]
    if claimed is not None and claimed.fingerprint == own.fingerprint and (left or not resume):
        return left
    other = own.differences(claimed) if claimed and claimed.fingerprint != own.fingerprint else None
    if resume:
        raise _nothing_to_resume(uri, other)
    if left:
        print(f"  {uri}: removed {len(left)} files of an unfinished run ({other or 'unknown'})", file=sys.stderr, flush=True)
    for name in names:
        there.remove(store.join(uri, name))
    there.write(store.join(uri, CLAIM), own.model_dump_json().encode())
    return []


def _claimed(uri: str) -> Claim | None:
    """The claim at an output's URI; None where there is none that can be read."""
    data = store.store_of(uri).read(store.join(uri, CLAIM))
    try:
        return Claim.model_validate_json(data) if data else None
    except ValidationError:
        return None


def _nothing_to_resume(uri: str, other: str | None) -> MissingInput | StaleOutput:
    if other is None:
        return MissingInput(f"--resume: no earlier try left anything at {uri}; check --output, or leave --resume out to start")
    return StaleOutput(f"--resume: the unfinished run at {uri} is another one: {other}; run it as before, or leave --resume out")


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
