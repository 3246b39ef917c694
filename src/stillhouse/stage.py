"""The stage contract, and ``execute``: fingerprint -> skip or refuse -> fetch -> run -> publish.

A stage module has a docstring that begins ``input -> output: what``, a ``Config``, an ``Inputs``, ``run(config, inputs)`` and,
once its rows or its meaning change, a higher ``SCHEMA_VERSION``.
"""

import dataclasses
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from stillhouse import manifest as manifests
from stillhouse import store, tracking
from stillhouse.errors import BadConfig, MissingInput, StaleOutput
from stillhouse.manifest import File, Link, Manifest, Provenance

CLAIM = "claim.json"
"""Names the fingerprint whose parts lie in an output that has no manifest yet."""


class StageConfig(BaseModel):
    """What changes a stage's result, and nothing else: no hardware, no URI, no credential."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True)
class Shard:
    """One of ``count`` disjoint shares of the keys; ``index`` counts from 0."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read ``3/16``. Raises BadConfig."""
        index, slash, count = text.partition("/")
        if not (slash and index.isdecimal() and count.isdecimal() and int(index) < int(count)):
            msg = f"--shard {text}: not of the form INDEX/COUNT with 0 <= INDEX < COUNT, such as 3/16"
            raise BadConfig(msg)
        return cls(int(index), int(count))

    @property
    def name(self) -> str:
        """``3-of-16``."""
        return f"{self.index}-of-{self.count}"

    def holds(self, key: str) -> bool:
        """Whether the key belongs to this shard; depends on the key alone."""
        return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % self.count == self.index


def _silent(done: float, total: float, unit: str) -> None:
    """Progress that goes nowhere."""


def _unlogged(metrics: Mapping[str, float], step: int | None = None) -> None:
    """Metrics that go nowhere."""


def _unpublished(path: Path) -> None:
    """A finished part that is published with the rest, at the end."""


@dataclass(frozen=True, kw_only=True)
class StageInputs:
    """What every stage is handed. A subclass adds its inputs: ``Path``, ``Path | None`` or ``tuple[Path, ...]`` each."""

    scratch: Path
    """The only directory a stage writes to; what it leaves in ``output`` below it is published."""
    finished: Path | None = None
    """Parts that an earlier try of the same fingerprint finished, to be carried on from."""
    shard: Shard = Shard()
    """The share of the keys to work on."""
    progress: Callable[[float, float, str], None] = _silent
    """``progress(done, total, unit)``: how far the stage is."""
    log: Callable[..., None] = _unlogged
    """``log(metrics, step)``: numbers over time."""
    publish_part: Callable[[Path], None] = _unpublished
    """Publish one finished file below ``output`` now, so that a restart need not make it again."""

    @property
    def output(self) -> Path:
        """The directory whose files are published."""
        return self.scratch / "output"

    @property
    def dropped(self) -> Path:
        """Where dropped rows go."""
        return self.output / "dropped"


@dataclass(frozen=True)
class Outputs:
    """What a stage says of its result; the files lie in ``inputs.output``."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    """Numbers about the result. Counts are named ``n_…``: those of shards add up."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Dropped rows by reason."""
    artifacts: Sequence[str] = ()
    """Small published files (reports, examples) to show in MLflow too, by relative path."""


class Stage(Protocol):
    """A stage module."""

    __name__: str
    __doc__: str | None
    Config: type[StageConfig]
    Inputs: type[StageInputs]
    run: Callable[[Any, Any], Outputs]


@dataclass(frozen=True)
class Result:
    """What ``execute`` did: the manifest, and whether it was there before."""

    manifest: Manifest
    skipped: bool


def input_names(inputs_type: type[StageInputs]) -> dict[str, str]:
    """The inputs a stage takes: name -> ``one``, ``optional`` or ``many``."""
    own = {each.name for each in dataclasses.fields(inputs_type)} - {each.name for each in dataclasses.fields(StageInputs)}
    hints = typing.get_type_hints(inputs_type)
    kinds = {types.UnionType: "optional", tuple: "many"}
    return {name: kinds.get(typing.get_origin(hint), "one") for name, hint in hints.items() if name in own}


def execute(
    stage: Stage, config: StageConfig, inputs: Mapping[str, Sequence[str]], output: str, shard: Shard | None = None
) -> Result:
    """Make the stage's output, unless it is there.

    ``inputs`` maps an input's name to its artifact URIs. Raises MissingInput where one has no manifest, StaleOutput where the
    output holds another fingerprint's result or another writer publishes first, and whatever the stage raises. A second call
    with the same config and inputs returns the manifest without running anything.
    """
    shard = shard or Shard()
    output, name = store.absolute(output), stage.__name__.rsplit(".", 1)[-1]
    links = _links(stage, {key: [store.absolute(uri) for uri in uris] for key, uris in inputs.items()})
    fingerprint = manifests.fingerprint(
        name, getattr(stage, "SCHEMA_VERSION", 1), config.model_dump(mode="json"),
        {key: [link.fingerprint for link in value] for key, value in sorted(links.items()) if value},
    )  # fmt: skip
    if (whole := _published(output, fingerprint)) is not None:
        return Result(whole, skipped=True)
    target = output if shard.count == 1 else store.join(output, "shards", shard.name)
    done = _published(target, fingerprint)
    if done is None:
        with _scratch() as scratch, tracking.run(name, target, config.model_dump(mode="json"), links, fingerprint) as run:
            finished = _claim(target, fingerprint, scratch)
            started = datetime.now(UTC)
            fetched = {key: [_fetch(key, link, scratch) for link in value] for key, value in links.items()}
            stage_inputs = stage.Inputs(
                scratch=scratch, finished=finished, shard=shard, progress=run.progress, log=run.log,
                publish_part=lambda path: _upload(scratch / "output", path, target), **_arguments(stage, fetched),
            )  # fmt: skip
            (scratch / "output").mkdir(exist_ok=True)
            outputs = stage.run(config, stage_inputs)
            done = Manifest(
                stage=name, version=output.rsplit("/", 1)[-1], fingerprint=fingerprint, config=config.model_dump(mode="json"),
                inputs=links, files=_upload_all(scratch / "output", target), metrics=dict(outputs.metrics),
                dropped=dict(outputs.dropped), provenance=_provenance(started, run.id),
            )  # fmt: skip
            _publish(target, done)
            run.finish(done, [scratch / "output" / each for each in outputs.artifacts])
    return Result(done if target == output else _assemble(output, done, shard.count), skipped=False)


def _links(stage: Stage, inputs: Mapping[str, Sequence[str]]) -> dict[str, list[Link]]:
    """Check the inputs' names and counts against the stage's ``Inputs``, and read their manifests."""
    known = input_names(stage.Inputs)
    for name in inputs:
        if name not in known:
            msg = f"--input {name}=…: {_word(stage)} takes no such input; its inputs: {', '.join(known) or 'none'}"
            raise BadConfig(msg)
    for name, kind in known.items():
        given = inputs.get(name, ())
        if not given and kind != "optional" and not (kind == "many" and name in _defaulted(stage.Inputs)):
            msg = f"{_word(stage)} needs --input {name}=URI, got none"
            raise MissingInput(msg)
        if len(given) > 1 and kind != "many":
            msg = f"--input {name}=…: given {len(given)} times; {_word(stage)} takes one"
            raise BadConfig(msg)
    return {name: [_link(name, uri) for uri in uris] for name, uris in inputs.items()}


def _defaulted(inputs_type: type[StageInputs]) -> set[str]:
    return {each.name for each in dataclasses.fields(inputs_type) if each.default is not dataclasses.MISSING}


def _word(stage: Stage) -> str:
    return stage.__name__.rsplit(".", 1)[-1]


def _link(name: str, uri: str) -> Link:
    return Link(uri=uri, fingerprint=manifests.load(uri, f"input {name}").fingerprint)


def _published(uri: str, fingerprint: str) -> Manifest | None:
    """The manifest at ``uri`` if it has this fingerprint, None if there is none. Raises StaleOutput on another one."""
    found = manifests.find(uri)
    if found is not None and found.fingerprint != fingerprint:
        msg = (
            f"{uri} holds fingerprint {found.fingerprint}, this config and these inputs make {fingerprint}; "
            "nothing was overwritten: choose another version in --output"
        )
        raise StaleOutput(msg)
    return found


def _claim(uri: str, fingerprint: str, scratch: Path) -> Path | None:
    """The parts an earlier try of the same fingerprint left; those of another fingerprint are removed."""
    there = store.store_of(uri)
    claim = there.read(store.join(uri, CLAIM))
    names = [name for name in there.names(uri) if not name.startswith("shards/")]
    if claim is not None and claim.decode() == fingerprint:
        return there.fetch(uri, scratch) if any(name.endswith(".parquet") for name in names) else None
    for name in names:
        there.remove(store.join(uri, name))
    there.write(store.join(uri, CLAIM), fingerprint.encode())
    return None


def _fetch(name: str, link: Link, scratch: Path) -> Path:
    """A local directory of the input, checked to hold every file its manifest lists."""
    there = store.store_of(link.uri)
    gone = sorted(set(manifests.load(link.uri, f"input {name}").files) - set(there.names(link.uri)))
    if gone:
        msg = f"input {name} {link.uri}: its manifest lists {gone[0]} ({len(gone)} such), which is gone; make the artifact again"
        raise MissingInput(msg)
    return there.fetch(link.uri, scratch / "inputs")


def _arguments(stage: Stage, fetched: Mapping[str, list[Path]]) -> dict[str, Any]:
    """The fetched inputs in the form the stage's ``Inputs`` declares."""
    known = input_names(stage.Inputs)
    return {name: tuple(paths) if known[name] == "many" else paths[0] for name, paths in fetched.items() if paths}


def _upload(root: Path, path: Path, uri: str) -> None:
    store.store_of(uri).upload(path, store.join(uri, path.relative_to(root).as_posix()))


def _upload_all(root: Path, uri: str) -> dict[str, File]:
    """Upload every file below ``root``, and describe them."""
    described = {}
    for path in sorted(each for each in root.rglob("*") if each.is_file()):
        _upload(root, path, uri)
        described[path.relative_to(root).as_posix()] = _describe(path)
    return described


def _describe(path: Path) -> File:
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
    return File(sha256=digest, bytes=path.stat().st_size, rows=rows)


def _publish(uri: str, manifest: Manifest) -> None:
    try:
        manifests.publish(uri, manifest)
    except store.AlreadyThere as error:
        msg = f"{uri}: another process published there while this one ran; its result stands, this one was not published"
        raise StaleOutput(msg) from error
    store.store_of(uri).remove(store.join(uri, CLAIM))


def _assemble(output: str, shard_done: Manifest, count: int) -> Manifest:
    """Publish the whole once every shard is there; until then the shard's own manifest is the result."""
    names = [Shard(index, count).name for index in range(count)]
    found = [manifests.find(store.join(output, "shards", name)) for name in names]
    if any(each is None or each.fingerprint != shard_done.fingerprint for each in found):
        return shard_done
    shards = {name: each for name, each in zip(names, found, strict=True) if each is not None}
    files = {f"shards/{name}/{path}": file for name, each in shards.items() for path, file in each.files.items()}
    whole = shard_done.model_copy(
        update={
            "files": files, "shards": names, "metrics": _sums(each.metrics for each in shards.values()),
            "dropped": _sums(each.dropped for each in shards.values()),
        }
    )  # fmt: skip
    try:
        manifests.publish(output, whole)
    except store.AlreadyThere:
        # The other shards' writers put together the same whole: same files, same fingerprint.
        return manifests.load(output)
    return whole


def _sums(counts: Any) -> dict[str, Any]:
    """Sums by name; of metrics only counts (``n_…``) add up, other numbers of a shard say nothing of the whole."""
    total: dict[str, Any] = {}
    for each in counts:
        for name, value in each.items():
            if isinstance(value, int) or name.startswith("n_"):
                total[name] = total.get(name, 0) + value
    return total


def _provenance(started: datetime, run_id: str | None) -> Provenance:
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


@contextmanager
def _scratch() -> Iterator[Path]:
    """A directory that is gone afterwards, whatever happens; below ``STILLHOUSE_SCRATCH`` if set."""
    path = Path(tempfile.mkdtemp(prefix="stillhouse-", dir=os.environ.get("STILLHOUSE_SCRATCH")))
    try:
        yield path
    finally:
        shutil.rmtree(path)
