"""What an artifact is: the file written last beside its data. Without it, the artifact does not exist."""

import hashlib
import json
import platform
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stillhouse.artifacts import naming, store
from stillhouse.artifacts.code_version import code_commit
from stillhouse.errors import DamagedArtifact, MissingInput, StaleOutput, StoreFailed
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.masking import masked

MANIFEST = "manifest.json"
LATEST = "latest.json"
LONG_AGO, WRONG_BY = datetime.min.replace(tzinfo=UTC), timedelta(days=1)
"""Before any pointer; how far a clock may be ahead before its pointers are no longer believed."""


class StoredModel(BaseModel):
    """What is kept in a store as JSON. A loss that became NaN is written as a string, which is read as that number again."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, ser_json_inf_nan="strings")


class Link(StoredModel):
    """An input: where it lies and what it was."""

    uri: str
    fingerprint: str


class ModelLink(Link):
    """A model that was used, and is not copied here: ``uri`` names it for ever."""

    kind: Literal["hub", "directory", "registry", "artifact", "adapter"]
    named: str
    """As the command line or the config named it."""


class File(StoredModel):
    """One published file."""

    sha256: str
    bytes: int
    rows: int | None = None
    """Rows of a Parquet file."""
    stored: str | None = None
    """Its name in the store, if that differs: parts carry the attempt that wrote them."""
    at: str | None = None
    """NAME/VERSION of the artifact of this stage that holds the file, if another version does."""


class Provenance(StoredModel):
    """How the artifact came to be. Never part of a fingerprint."""

    commit: str
    image: str
    argv: list[str]
    started: datetime
    finished: datetime
    host: str
    mlflow_run_id: str | None = None


class Manifest(StoredModel):
    """The record of one published output of a stage."""

    stage: str
    version: str
    fingerprint: str
    config: dict[str, Any]
    inputs: dict[str, list[Link]] = Field(default_factory=dict)
    """By input name; most inputs have one link, an input that takes several keeps their order."""
    models: dict[str, ModelLink] = Field(default_factory=dict)
    """Models that are no artifacts, by the input or the config field that names them, such as ``judge.model``."""
    files: dict[str, File]
    metrics: dict[str, float]
    dropped: dict[str, int] = Field(default_factory=dict)
    """Rows in ``dropped/``, by reason."""
    shards: list[str] = Field(default_factory=list)
    """The shards this output was assembled from, as ``3-of-16``; empty if one process wrote it."""
    same_as: str | None = None
    """NAME/VERSION of the artifact with the same fingerprint whose files this one lists; None if it holds its own."""
    provenance: Provenance

    @property
    def stored(self) -> dict[str, str]:
        """File name -> its name in the store, of the files in the artifact's own directory."""
        return {name: file.stored or name for name, file in self.files.items() if file.at is None}

    @property
    def rows(self) -> int:
        """Rows passed on, without those of ``dropped/`` and of tables of evidence."""
        parts = (name for name in self.files if name.rsplit("/", 1)[-1].startswith("part-") and "dropped/" not in name)
        return sum(self.files[name].rows or 0 for name in parts)

    @property
    def seconds(self) -> float:
        """Wall time of the stage."""
        return (self.provenance.finished - self.provenance.started).total_seconds()


def provenance(started: datetime, run_id: str | None) -> Provenance:
    """The provenance of a result of this process."""
    return Provenance(
        commit=code_commit(), image=environment.text("STILLHOUSE_IMAGE"), argv=[masked(word) for word in sys.argv], started=started,
        finished=datetime.now(UTC), host=platform.node(), mlflow_run_id=run_id,
    )  # fmt: skip


def fingerprint(stage: str, schema_version: int, config: Mapping[str, Any], inputs: Mapping[str, list[str]]) -> str:
    """The identity of a result: sixteen hex digits of a sha256 over what decides it, and nothing else.

    ``config`` must be JSON-ready: a value without a stable JSON form raises TypeError instead of being guessed at.
    """
    identity = {"stage": stage, "schema": schema_version, "config": config, "inputs": inputs}
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def find(uri: str) -> Manifest | None:
    """The manifest of the artifact at ``uri``, None if nothing is published there.

    Raises DamagedArtifact for a manifest that was edited, is torn, or names files outside the artifact.
    """
    data = store.store_of(uri).read(store.join(store.absolute(uri), MANIFEST))
    return None if data is None else _parsed(data, uri)


def seconds_in_all(uri: str, manifest: Manifest) -> float:
    """What all shards of the artifact took together; its own time if one process made it."""
    shards = [find(store.join(uri, "shards", name)) for name in manifest.shards]
    return sum(shard.seconds for shard in shards if shard is not None) if shards else manifest.seconds


def serialised(manifest: Manifest) -> bytes:
    """The manifest as it is published: JSON with its own digest."""
    document = json.loads(manifest.model_dump_json())
    return json.dumps({**document, "digest": _digest(document)}, indent=1).encode()


def _parsed(data: bytes, uri: str) -> Manifest:
    try:
        document = json.loads(data, object_pairs_hook=_unique)
        digest = document.pop("digest", None)
        manifest = Manifest.model_validate(document)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        count = f"{error.error_count()} errors" if isinstance(error, ValidationError) else " ".join(str(error).split())[:200]
        msg = f"{uri}/{MANIFEST} is not a manifest ({count}); was it edited? make the artifact again, under another version"
        raise DamagedArtifact(msg) from error
    if digest is None:
        msg = f"{uri}/{MANIFEST} has no digest: an earlier release wrote it; make the artifact again, under another version or root"
        raise DamagedArtifact(msg)
    if digest != (expected := _digest(document)):
        msg = (
            f"{uri}/{MANIFEST} was edited or damaged: its digest is {str(digest)[:16]}, its content has {expected[:16]}; "
            "restore the file, or make the artifact again under another version"
        )
        raise DamagedArtifact(msg)
    naming.check(manifest.files, uri)
    for place in {file.at for file in manifest.files.values()}:
        naming.check((file.stored or name for name, file in manifest.files.items() if file.at == place), uri)
        if place is not None:
            naming.check_version(place, uri)
    return manifest


def location(uri: str, manifest: Manifest, name: str) -> tuple[str, str]:
    """Where a file of the artifact at ``uri`` lies: the URI of the artifact that holds it, and its name there."""
    file = manifest.files[name]
    return (uri if file.at is None else store.join(naming.stage_root(uri), file.at)), file.stored or name


def read_file(uri: str, name: str) -> bytes | None:
    """The content of a small file of an artifact, wherever it lies; None if the artifact holds no such file."""
    manifest = find(uri)
    directory, stored = location(store.absolute(uri), manifest, name) if manifest and name in manifest.files else (uri, name)
    return store.store_of(directory).read(store.join(directory, stored))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises ValueError for a duplicate name."""
    names = dict(pairs)
    if len(names) < len(pairs):
        [(duplicate, _)] = Counter(name for name, _ in pairs).most_common(1)
        msg = f"duplicate name {duplicate!r}"
        raise ValueError(msg)
    return names


def _digest(document: Mapping[str, Any]) -> str:
    """The sha256 over a manifest's content, whatever the order and spacing of its JSON."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def load(uri: str, name: str = "artifact") -> Manifest:
    """The manifest at ``uri``. Raises MissingInput if nothing is published there, DamagedArtifact as ``find``."""
    manifest = find(uri)
    if manifest is None:
        msg = f"{name} {uri} has no {MANIFEST}: nothing is published there; check the URI, or run the stage that makes it"
        raise MissingInput(msg)
    return manifest


def published(uri: str, fingerprint: str) -> Manifest | None:
    """The manifest at ``uri`` if it has this fingerprint, None without a manifest. Raises StaleOutput for any other fingerprint."""
    manifest = find(uri)
    if manifest is not None and manifest.fingerprint != fingerprint:
        msg = (
            f"{uri} holds fingerprint {manifest.fingerprint}, this config and these inputs make {fingerprint}; "
            "nothing was overwritten: choose another version in --output"
        )
        raise StaleOutput(msg)
    return manifest


def publish(uri: str, manifest: Manifest) -> None:
    """Write the manifest, last, and move the ``latest.json`` pointer beside the versions.

    Raises store.AlreadyThere if another writer published first; not if only the reply to our own write was lost.
    """
    store.store_of(uri).write(store.join(uri, MANIFEST), serialised(manifest), only_if_absent=True)
    point(uri, manifest)


def point(uri: str, manifest: Manifest) -> None:
    """Point ``latest.json`` beside the versions at this one, unless it names a version that was published later.

    A shard has no versions, so no pointer. A later skip calls this again, in case the store failed before the write.
    """
    if naming.split_shard(uri)[1]:
        return
    parent = uri.rsplit("/", 1)[0]
    pointer_uri = store.join(parent, LATEST)
    if _pointed_at(pointer_uri) > manifest.provenance.finished:
        return
    pointer = {"uri": uri, "fingerprint": manifest.fingerprint, "published": datetime.now(UTC).isoformat()}
    store.store_of(uri).write(pointer_uri, json.dumps(pointer).encode())


def _pointed_at(pointer_uri: str) -> datetime:
    """When the pointer was written; long ago if there is none that can be read, or a wrong clock dated it in the future."""
    try:
        written = datetime.fromisoformat(
            json.loads(store.store_of(pointer_uri).read(pointer_uri) or b"{}")["published"]
        ).astimezone(UTC)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        written = LONG_AGO
    return written if written < datetime.now(UTC) + WRONG_BY else LONG_AGO


def latest(uri: str) -> str | None:
    """The version published last beside ``uri``, by the pointer there; None before the first one. Raises StoreFailed.

    Of the pointer, only the version counts: the store may have been moved since, or be reached by another path.
    """
    parent = store.absolute(uri).rsplit("/", 1)[0]
    pointer = store.join(parent, LATEST)
    data = store.store_of(pointer).read(pointer)
    if data is None:
        return None
    try:
        return store.join(parent, str(json.loads(data)["uri"]).rsplit("/", 1)[-1])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        msg = f"{pointer} does not point to a version ({error!r}); remove it: the next published version writes it again"
        raise StoreFailed(msg) from error


def lineage(uri: str, *, without: Collection[str] = ()) -> Iterator[tuple[int, str, str, Manifest | None]]:
    """Walk from an artifact to all it was made of, depth first: (depth, input name, URI, manifest).

    A repeated artifact is yielded again but not walked again. The manifest is None if the artifact is gone from the store. Models
    that are no artifacts are told by ``Manifest.models``. Inputs named in ``without`` are not followed.
    """
    seen: set[str] = set()

    def walk(depth: int, name: str, artifact: str) -> Iterator[tuple[int, str, str, Manifest | None]]:
        manifest = find(artifact)
        yield depth, name, artifact, manifest
        if manifest is None or artifact in seen:
            return
        seen.add(artifact)
        for input_name, links in manifest.inputs.items():
            for link in links if input_name not in without else ():
                yield from walk(depth + 1, input_name, link.uri)
        for field, model in manifest.models.items():
            if model.kind == "artifact":
                yield from walk(depth + 1, field, model.uri)

    yield from walk(0, "", store.absolute(uri))
