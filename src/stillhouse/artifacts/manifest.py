"""What an artifact is: the file written last beside its data. Without it, the artifact does not exist."""

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stillhouse.artifacts import store
from stillhouse.errors import MissingInput, StaleOutput, StoreFailed

MANIFEST = "manifest.json"
LATEST = "latest.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Link(_Frozen):
    """An input: where it lies and what it was."""

    uri: str
    fingerprint: str


class File(_Frozen):
    """One published file."""

    sha256: str
    bytes: int
    rows: int | None = None
    """Rows, where the file is Parquet."""


class Provenance(_Frozen):
    """How the artifact came to be. Never part of a fingerprint."""

    commit: str
    image: str
    argv: list[str]
    started: datetime
    finished: datetime
    host: str
    mlflow_run_id: str | None = None


class Manifest(_Frozen):
    """The record of one published output of a stage."""

    stage: str
    version: str
    fingerprint: str
    config: dict[str, Any]
    inputs: dict[str, list[Link]] = Field(default_factory=dict)
    """By input name; most inputs have one link, an input that takes several keeps their order."""
    files: dict[str, File]
    metrics: dict[str, float]
    dropped: dict[str, int] = Field(default_factory=dict)
    """Rows in ``dropped/``, by reason."""
    shards: list[str] = Field(default_factory=list)
    """The shards this output was put together from, as ``3-of-16``; empty where one process wrote it."""
    provenance: Provenance

    @property
    def rows(self) -> int:
        """Rows passed on; tables of evidence beside the parts are none."""
        parts = (name for name in self.files if name.rsplit("/", 1)[-1].startswith("part-") and "dropped/" not in name)
        return sum(self.files[name].rows or 0 for name in parts)

    @property
    def seconds(self) -> float:
        """Wall time of the stage."""
        return (self.provenance.finished - self.provenance.started).total_seconds()


def provenance(started: datetime, run_id: str | None) -> Provenance:
    """The record of this process, from what it knows of itself."""
    return Provenance(
        commit=_commit(), image=os.environ.get("STILLHOUSE_IMAGE", ""), argv=sys.argv, started=started,
        finished=datetime.now(UTC), host=platform.node(), mlflow_run_id=run_id,
    )  # fmt: skip


def _commit() -> str:
    """The commit of the running code: set by the image, else asked of git, else unknown."""
    if commit := os.environ.get("STILLHOUSE_COMMIT"):
        return commit
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def fingerprint(stage: str, schema_version: int, config: Mapping[str, Any], inputs: Mapping[str, list[str]]) -> str:
    """The identity of a result: sixteen hex digits of a sha256 over what decides it, and nothing else.

    ``config`` must be JSON-ready: a value without a stable JSON form raises TypeError instead of being guessed at.
    """
    identity = {"stage": stage, "schema": schema_version, "config": config, "inputs": inputs}
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def find(uri: str) -> Manifest | None:
    """The manifest of the artifact at ``uri``, None if nothing is published there. Raises StoreFailed if unreadable."""
    data = store.store_of(uri).read(store.join(store.absolute(uri), MANIFEST))
    if data is None:
        return None
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        msg = f"{uri}/{MANIFEST} is not a manifest ({error.error_count()} errors); was it edited? publish under another version"
        raise StoreFailed(msg) from error


def load(uri: str, name: str = "artifact") -> Manifest:
    """The manifest at ``uri``. Raises MissingInput if nothing is published there."""
    found = find(uri)
    if found is None:
        msg = f"{name} {uri} has no {MANIFEST}: nothing is published there; check the URI, or run the stage that makes it"
        raise MissingInput(msg)
    return found


def published(uri: str, fingerprint: str) -> Manifest | None:
    """The manifest at ``uri`` if it has this fingerprint, None if there is none. Raises StaleOutput on another one."""
    found = find(uri)
    if found is not None and found.fingerprint != fingerprint:
        msg = (
            f"{uri} holds fingerprint {found.fingerprint}, this config and these inputs make {fingerprint}; "
            "nothing was overwritten: choose another version in --output"
        )
        raise StaleOutput(msg)
    return found


def publish(uri: str, manifest: Manifest) -> None:
    """Write the manifest, last, and move the ``latest.json`` pointer beside the versions.

    Raises store.AlreadyThere if another writer published first.
    """
    target = store.store_of(uri)
    data = manifest.model_dump_json(indent=1).encode()
    target.write(store.join(uri, MANIFEST), data, only_if_absent=True)
    pointer = {"uri": uri, "fingerprint": manifest.fingerprint, "published": datetime.now(UTC).isoformat()}
    target.write(store.join(uri.rsplit("/", 1)[0], LATEST), json.dumps(pointer).encode())


def latest(uri: str) -> str | None:
    """The version published last beside ``uri``, by the pointer there; None where there is none yet. Raises StoreFailed."""
    pointer = store.join(store.absolute(uri).rsplit("/", 1)[0], LATEST)
    data = store.store_of(pointer).read(pointer)
    if data is None:
        return None
    try:
        return str(json.loads(data)["uri"])
    except (ValueError, KeyError) as error:
        msg = f"{pointer} is no pointer to a version ({error!r}); remove it, the next published version writes it anew"
        raise StoreFailed(msg) from error


def lineage(uri: str) -> Iterator[tuple[int, str, str, Manifest | None]]:
    """Walk from an artifact to all it was made of, depth first: (depth, input name, URI, manifest).

    An artifact met before is yielded again but not walked again; None stands for one that is gone from the store.
    """
    seen: set[str] = set()

    def walk(depth: int, name: str, link: str) -> Iterator[tuple[int, str, str, Manifest | None]]:
        found = find(link)
        yield depth, name, link, found
        if found is None or link in seen:
            return
        seen.add(link)
        for input_name, links in found.inputs.items():
            for each in links:
                yield from walk(depth + 1, input_name, each.uri)

    yield from walk(0, "", store.absolute(uri))
