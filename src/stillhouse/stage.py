"""The stage contract, and ``execute``: fingerprint -> skip or refuse -> fetch -> run -> publish.

A stage module has a docstring that begins ``input -> output: what``, a ``Config``, an ``Inputs``, ``run(config, inputs)`` and,
once its rows or its meaning change, a higher ``SCHEMA_VERSION``.
"""

import dataclasses
import os
import shutil
import tempfile
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from stillhouse import manifest as manifests
from stillhouse import publication, ranks, store, tracking
from stillhouse.errors import BadConfig, MissingInput, StoreFailed
from stillhouse.manifest import Link, Manifest
from stillhouse.publication import Claim
from stillhouse.shards import Shard, assemble

REUSED = "previous"
"""The input that spares work and changes no row: rows that would be made again are taken over. Never in a fingerprint."""
LAST = "latest"
"""As the URI of ``previous``: whatever version was published last."""


class StageConfig(BaseModel):
    """What changes a stage's result, and nothing else: no hardware, no URI, no credential."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _silent(done: float, total: float, unit: str) -> None:
    """Progress that goes nowhere."""


def _unlogged(metrics: Mapping[str, float], step: int | None = None) -> None:
    """Metrics that go nowhere."""


def _unpublished(path: Path) -> None:
    """A part that is not published before the end, or not taken back."""


@dataclass(frozen=True, kw_only=True)
class StageInputs:
    """What every stage is handed. A subclass adds its inputs: ``Path``, ``Path | None`` or ``tuple[Path, ...]`` each."""

    scratch: Path
    """The only directory a stage writes to; what it leaves in ``output`` below it is published."""
    finished: Path | None = None
    """Parts that an earlier try of the same fingerprint finished, to be carried on from."""
    resume: bool = False
    """Whether there has to be something in ``finished`` to go on from."""
    shard: Shard = field(default_factory=Shard)
    """The share of the keys to work on."""
    progress: Callable[[float, float, str], None] = _silent
    """``progress(done, total, unit)``: how far the stage is."""
    log: Callable[..., None] = _unlogged
    """``log(metrics, step)``: numbers over time."""
    uris: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Where each input lies, by name: for stages that write about artifacts, not for reading rows."""
    run_id: str | None = None
    """The MLflow run of this execution, None where nothing is tracked."""
    publish_part: Callable[[Path], None] = _unpublished
    """Publish one finished file below ``output`` now, so that a restart need not make it again."""
    retract_part: Callable[[Path], None] = _unpublished
    """Remove a file that this try or an earlier one published; its path is given as if it lay below ``output``."""

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
    stage: Stage,
    config: StageConfig,
    inputs: Mapping[str, Sequence[str]],
    output: str,
    shard: Shard | None = None,
    resume: bool = False,
) -> Result:
    """Make the stage's output, unless it is there.

    ``inputs`` maps an input's name to its artifact URIs; ``latest`` as the URI of ``previous`` is the version published last beside
    the output, if there is another one. With ``resume`` an earlier try must have left something to go on from. Raises MissingInput
    where it has not or an input has no manifest, StaleOutput where the output holds another fingerprint's result or another writer
    publishes first, and whatever the stage raises. A second call with the same config and inputs returns the manifest without
    running anything.
    """
    if ranks.count() > 1 and _word(stage) not in ranks.STAGES:
        msg = f"WORLD_SIZE is {ranks.count()}: {_word(stage)} is one process; start it without torchrun"
        raise BadConfig(msg)
    shard = shard or Shard()
    output = store.absolute(output)
    links = _links(stage, {key: [store.absolute(uri) for uri in uris] for key, uris in _with_latest(inputs, output).items()})
    settings = config.model_dump(mode="json")
    made_of = {key: [link.fingerprint for link in value] for key, value in sorted(links.items()) if value and key != REUSED}
    fingerprint = manifests.fingerprint(_word(stage), getattr(stage, "SCHEMA_VERSION", 1), settings, made_of)
    if (whole := ranks.from_first(lambda: manifests.published(output, fingerprint))) is not None:
        return Result(whole, skipped=True)
    target = shard.of(output)
    found = ranks.from_first(lambda: manifests.published(target, fingerprint))
    claim = Claim(fingerprint=fingerprint, config=settings, inputs=made_of)
    done = found or _make(stage, config, links, claim, output, shard, resume)
    return Result(done if target == output else assemble(output, done, shard.count), skipped=found is not None)


def _make(
    stage: Stage, config: StageConfig, links: dict[str, list[Link]], claim: Claim, output: str, shard: Shard, resume: bool
) -> Manifest:
    """Run the stage and publish what it made: the output itself, or one of its shards.

    Each of several ranks runs it in a scratch directory of its own, on files that the first rank of its node fetched. What rank 0
    made is published, once all have run; the others publish parts alone, such as their share of a checkpoint.
    """
    name, fingerprint, target = _word(stage), claim.fingerprint, shard.of(output)
    identity = {
        "stage": name, "version": output.rsplit("/", 1)[-1], "fingerprint": fingerprint, "config": claim.config, "inputs": links
    }  # fmt: skip
    with scratch_directory() as scratch, _tracked(name, target, claim.config, links, fingerprint) as run:
        left = ranks.from_first(lambda: publication.claim(target, claim, resume=resume))
        started = datetime.now(UTC)
        finished, fetched = ranks.from_leader(lambda: _fetch_all(links, target, left, scratch))
        made = scratch / "output"
        made.mkdir()
        inputs = stage.Inputs(
            scratch=scratch, finished=finished, resume=resume, shard=shard,
            uris={key: [link.uri for link in value] for key, value in links.items()},
            publish_part=lambda path: publication.upload(made, path, target),
            retract_part=lambda path: publication.retract(made, path, target), **_arguments(stage, fetched),
            **_told(run),
        )  # fmt: skip
        outputs = stage.run(config, inputs)
        ranks.gathered(None)  # where one rank failed, nothing is published
        return ranks.from_first(lambda: _publish(identity, made, target, outputs, started, run))


def _publish(
    identity: Mapping[str, Any], made: Path, target: str, outputs: Outputs, started: datetime, run: tracking.Run | None
) -> Manifest:
    """Upload what the stage made, its manifest last."""
    publication.refuse_if_published(target)
    done = Manifest(
        **identity, files=publication.upload_all(made, target), metrics=dict(outputs.metrics), dropped=dict(outputs.dropped),
        provenance=manifests.provenance(started, run.id if run else None),
    )  # fmt: skip
    publication.publish(target, done)
    publication.remove_strays(target, done)
    if run:
        run.finish(done, [made / each for each in outputs.artifacts])
    return done


def _told(run: tracking.Run | None) -> dict[str, Any]:
    return {"progress": run.progress, "log": run.log, "run_id": run.id} if run else {}


def _tracked(
    name: str, target: str, settings: dict[str, Any], links: dict[str, list[Link]], fingerprint: str
) -> AbstractContextManager[tracking.Run | None]:
    """The run of this execution; rank 0 has it for all, the others None."""
    return tracking.run(name, target, settings, links, fingerprint) if ranks.rank() == 0 else nullcontext()


def _fetch_all(
    links: dict[str, list[Link]], target: str, left: Sequence[str], scratch: Path
) -> tuple[Path | None, dict[str, list[Path]]]:
    """The parts that an earlier try left, and the inputs by name."""
    finished = store.store_of(target).fetch(target, scratch / "finished", left) if left else None
    return finished, {key: [fetch(key, link, scratch) for link in value] for key, value in links.items()}


def _with_latest(inputs: Mapping[str, Sequence[str]], output: str) -> dict[str, Sequence[str]]:
    """The inputs with ``previous=latest`` replaced by what it stands for; left out where that is nothing."""
    if list(inputs.get(REUSED, ())) != [LAST]:
        return dict(inputs)
    found = manifests.latest(output)
    others = {name: uris for name, uris in inputs.items() if name != REUSED}
    # A version that was removed since spares no work, and is no reason to fail.
    usable = found is not None and found != output and manifests.find(found) is not None
    return others | ({REUSED: [str(found)]} if usable else {})


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


def fetch(name: str, link: Link, scratch: Path) -> Path:
    """A local directory with the files the manifest of input ``name`` lists, no others: tries that were given up may lie beside."""
    there = store.store_of(link.uri)
    listed = sorted(manifests.load(link.uri, f"input {name}").files)
    gone = sorted(set(listed) - set(there.names(link.uri)))
    if gone:
        msg = f"input {name} {link.uri}: its manifest lists {gone[0]} ({len(gone)} such), which is gone; make the artifact again"
        raise MissingInput(msg)
    return there.fetch(link.uri, scratch / "inputs", listed)


def _arguments(stage: Stage, fetched: Mapping[str, list[Path]]) -> dict[str, Any]:
    """The fetched inputs in the form the stage's ``Inputs`` declares."""
    known = input_names(stage.Inputs)
    return {name: tuple(paths) if known[name] == "many" else paths[0] for name, paths in fetched.items() if paths}


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A directory that is gone afterwards, whatever happens; below ``STILLHOUSE_SCRATCH`` if set."""
    try:
        path = Path(tempfile.mkdtemp(prefix="stillhouse-", dir=os.environ.get("STILLHOUSE_SCRATCH")))
    except OSError as error:
        msg = f"no scratch directory: {error}; set STILLHOUSE_SCRATCH to a directory with room"
        raise StoreFailed(msg) from error
    try:
        yield path
    finally:
        shutil.rmtree(path)
