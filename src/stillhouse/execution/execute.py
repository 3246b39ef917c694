"""``execute``, once for all stages: fingerprint -> skip or refuse -> fetch -> run -> publish."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stillhouse.artifacts import claiming, integrity, publishing, reuse, store
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.assembly import assemble
from stillhouse.artifacts.lease import Lease, Work
from stillhouse.artifacts.manifest import Link, Manifest
from stillhouse.artifacts.publishing import Publisher
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.errors import BadConfig, DamagedArtifact, LeaseLost, MissingInput
from stillhouse.execution import processes, tracking
from stillhouse.execution.contract import Outputs, Stage, StageInputs, input_names
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.settings import StageConfig
from stillhouse.vocabulary.shards import Shard
from stillhouse.vocabulary.stage_names import STAGE_NAMES

REUSED = "previous"
"""The input whose rows are reused instead of made again. It changes no row, so it never enters a fingerprint."""
LAST = "latest"
"""As the URI of ``previous``: the version published last."""


@dataclass(frozen=True)
class Result:
    """What a run of a stage made, or found already made."""

    manifest: Manifest
    """The published artifact: ``rows``, ``dropped`` by reason, ``metrics``, ``fingerprint``, ``config``, ``inputs``, ``files``."""
    skipped: bool
    """Whether the output was already there, so that nothing was run."""


def execute(
    stage: Stage,
    config: StageConfig,
    inputs: Mapping[str, str | Sequence[str]],
    output: str,
    shard: Shard | None = None,
    resume: bool = False,
    ranks: bool = False,
) -> Result:
    """Make the stage's output, unless it is already published.

    ``inputs`` maps an input's name to its artifact's URI, or several; ``latest`` as the URI of ``previous`` is the version
    published last beside the output, if there is another one. ``output`` is ``{root}/{stage}/{name}/{version}``: absent, empty, or
    left by earlier attempts. While another process writes there, this one waits. A second call with the same config and inputs
    returns the manifest without running anything. With ``resume`` an earlier attempt must have left something to resume.
    ``ranks``: the stage may run as several processes.

    Raises BadConfig if files of others lie at the output, MissingInput if an input has no manifest or there is nothing to resume,
    DamagedArtifact if an input is not what was published, StaleOutput if the output holds another fingerprint's result, LeaseLost
    if another process took the output over, and whatever the stage raises.
    """
    if processes.count() > 1 and not ranks:
        msg = f"WORLD_SIZE is {processes.count()}: {_word(stage)} is one process; start it without torchrun"
        raise BadConfig(msg)
    shard, output = shard or Shard(), store.absolute(output)
    listed = {name: [uris] if isinstance(uris, str) else list(uris) for name, uris in inputs.items()}
    links = _links(stage, {name: [store.absolute(uri) for uri in uris] for name, uris in _with_latest(listed, output).items()})
    claiming.check_output(output, _word(stage))
    work = _work(stage, config, links)
    if (whole := _published(output, work.fingerprint)) is not None:
        if whole.shards and whole.same_as is None:
            processes.from_first(lambda: reuse.note(output, work.fingerprint))
        return Result(whole, skipped=True)
    if shard.count == 1:
        return _make(stage, config, links, work, output, shard, resume)
    processes.from_first(
        lambda: claiming.refuse_foreign(output, store.store_of(output).names(output), claiming.read(output)[0])
    )  # fmt: skip
    if reuse.find(output, work.fingerprint) is not None and (reused := _reused(output, work, links)) is not None:
        return Result(reused, skipped=True)
    done = _published(shard.of(output), work.fingerprint)
    result = Result(done, skipped=True) if done else _make(stage, config, links, work, output, shard, resume)
    return Result(assemble(output, result.manifest, shard.count), result.skipped)


def _work(stage: Stage, config: StageConfig, links: Mapping[str, Sequence[Link]]) -> Work:
    """The work to do, with its fingerprint."""
    settings = config.model_dump(mode="json")
    made_of = {name: [link.fingerprint for link in uris] for name, uris in sorted(links.items()) if uris and name != REUSED}
    fingerprint = manifests.fingerprint(_word(stage), getattr(stage, "SCHEMA_VERSION", 1), settings, made_of)
    return Work(stage=_word(stage), fingerprint=fingerprint, config=settings, inputs=made_of)


def _published(uri: str, fingerprint: str) -> Manifest | None:
    """The result at a URI, completing what a process that died after its manifest left undone; None without one; all ranks."""

    def completed() -> Manifest | None:
        manifest = manifests.published(uri, fingerprint)
        if manifest is not None:
            publishing.complete(uri, manifest)
            _finish_run(uri, manifest)
        return manifest

    return processes.from_first(completed)


def _make(
    stage: Stage, config: StageConfig, links: dict[str, list[Link]], work: Work, output: str, shard: Shard, resume: bool
) -> Result:  # fmt: skip
    """Claim the output or one of its shards, run the stage and publish what it made.

    If another process publishes the same work first, this returns its result.
    """
    target = shard.of(output)
    leases: list[Lease] = []  # rank 0 has one; it stays in its process

    with ExitStack() as held:

        def claim() -> tuple[str, dict[str, str]] | None:
            lease = claiming.take(target, work, resume=resume)
            if lease is None:
                return None
            leases.append(held.enter_context(lease))
            if _point(target, work, links, lease) is not None:
                return None
            return lease.claim.owner.attempt, claiming.parts(lease.claim, store.store_of(target).names(target))

        claimed = processes.from_first(claim)
        if claimed is None:
            return Result(manifests.load(target), skipped=True)
        publisher = Publisher(target, *claimed, leases[0] if leases else None)
        try:
            return Result(_run(stage, config, links, work, output, shard, resume, publisher), skipped=False)
        except LeaseLost as error:
            winner = manifests.find(target)
            if winner is not None and processes.rank() == 0:
                publisher.withdraw(winner)
            if winner is None or processes.count() > 1:
                raise
            manifests.published(target, work.fingerprint)  # raises StaleOutput if the winner did other work
            print(f"  {one_line(error)}: its result is used", file=sys.stderr, flush=True)
            return Result(winner, skipped=True)


def _reused(output: str, work: Work, links: dict[str, list[Link]]) -> Manifest | None:
    """The whole output, with the files of another version that has the same fingerprint; None if that one is gone meanwhile."""
    lease = claiming.take(output, work)
    if lease is None:
        return manifests.load(output)
    with lease:
        manifest = _point(output, work, links, lease)
        if manifest is None:
            lease.release()
    return manifest


def _point(target: str, work: Work, links: dict[str, list[Link]], lease: Lease) -> Manifest | None:
    """Publish the result that another version holds of this work, by a manifest that points there; None if none does."""
    origin = reuse.reserve(target, work)
    if origin is None:
        return None
    _finish_run(origin, manifests.load(origin))
    return reuse.publish(origin, Publisher(target, lease.claim.owner.attempt, {}, lease), links)


def _run(
    stage: Stage, config: StageConfig, links: dict[str, list[Link]], work: Work, output: str, shard: Shard, resume: bool,
    publisher: Publisher,
) -> Manifest:  # fmt: skip
    """Run the stage and publish what it made.

    Each rank runs it in its own scratch directory, on files that the first rank of its node fetched. Once all have run, rank 0's
    output is published; the other ranks publish only parts, such as their share of a checkpoint.
    """
    identity = {
        "stage": work.stage, "version": output.rsplit("/", 1)[-1], "fingerprint": work.fingerprint, "config": work.config,
        "inputs": links,
    }  # fmt: skip
    with ExitStack() as held:
        with processes.together():  # if one rank fails, nothing is published and all raise the same error
            scratch = held.enter_context(scratch_directory())
            run = held.enter_context(_tracked(work.stage, publisher.uri, work.config, links, work.fingerprint))
            if run:
                run.claimed()
            started = datetime.now(UTC)
            finished, fetched = processes.from_leader(lambda: _fetch_all(links, publisher, scratch))
            processes.gathered(None)  # no rank begins before all have their files
            output_directory = scratch / "output"
            output_directory.mkdir()
            inputs = stage.Inputs(
                scratch=scratch, finished=finished, resume=resume, shard=shard,
                uris={name: [link.uri for link in uris] for name, uris in links.items()},
                publish_part=lambda path: publisher.publish_part(output_directory, path),
                retract_part=lambda path: publisher.retract(output_directory, path), **_arguments(stage, fetched),
                **_reporting(run),
            )  # fmt: skip
            outputs = stage.run(config, inputs)
        return processes.from_first(lambda: _publish(identity, output_directory, publisher, outputs, started, run))


def _publish(
    identity: Mapping[str, Any], output: Path, publisher: Publisher, outputs: Outputs, started: datetime, run: tracking.Run | None
) -> Manifest:
    """Upload the stage's output, its manifest last."""
    manifest = Manifest(
        **identity, files=publisher.upload_all(output), metrics=dict(outputs.metrics), dropped=dict(outputs.dropped),
        provenance=manifests.provenance(started, run.id if run else None),
    )  # fmt: skip
    publisher.publish(manifest)
    if run:
        run.finish(manifest, [output / name for name in outputs.artifacts])
    return manifest


def _finish_run(uri: str, manifest: Manifest) -> None:
    """Finish the tracked run of a published artifact, if it is not finished."""
    with ExitStack() as opened:  # most runs are finished, and need no scratch directory

        def fetched(names: Sequence[str]) -> list[Path]:
            directory = integrity.fetch(uri, opened.enter_context(scratch_directory()), names)
            return [directory / name for name in names]

        tracking.finish_published(uri, manifest, fetched)


def _reporting(run: tracking.Run | None) -> dict[str, Any]:
    return {"progress": run.progress, "log": run.log, "run_id": run.id} if run else {}


def _tracked(
    name: str, target: str, settings: dict[str, Any], links: dict[str, list[Link]], fingerprint: str
) -> AbstractContextManager[tracking.Run | None]:
    """The run of this execution; rank 0 has it, the other ranks None."""
    return tracking.run(name, target, settings, links, fingerprint) if processes.rank() == 0 else nullcontext()


def _fetch_all(
    links: dict[str, list[Link]], publisher: Publisher, scratch: Path
) -> tuple[Path | None, dict[str, list[Path]]]:  # fmt: skip
    """The parts that an earlier attempt left, and the inputs by name."""
    finished = None
    if publisher.left:
        finished, sound = integrity.fetch_parts(publisher.uri, publisher.left, scratch / "finished")
        publisher.reusable.update(sound)
    return finished, {name: [fetch(name, link, scratch) for link in uris] for name, uris in links.items()}


def _with_latest(inputs: Mapping[str, Sequence[str]], output: str) -> dict[str, Sequence[str]]:
    """The inputs with ``previous=latest`` replaced by what it stands for; without it if there is no other version."""
    if list(inputs.get(REUSED, ())) != [LAST]:
        return dict(inputs)
    latest = manifests.latest(output)
    others = {name: uris for name, uris in inputs.items() if name != REUSED}
    return others | ({REUSED: [latest]} if latest is not None and latest != output and _is_usable(latest) else {})


def _is_usable(latest: str) -> bool:
    """Whether there is work to spare: a version that was removed, damaged or made by an earlier release is no reason to fail."""
    try:
        return manifests.find(latest) is not None
    except DamagedArtifact as error:
        print(f"  {REUSED}={LAST} is left out: {one_line(error)}", file=sys.stderr, flush=True)
        return False


def _links(stage: Stage, inputs: Mapping[str, Sequence[str]]) -> dict[str, list[Link]]:
    """Check the inputs' names and counts against the stage's ``Inputs``, and read their manifests."""
    known = input_names(stage.Inputs)
    for name in inputs:
        if name not in known:
            msg = f"--input {name}=…: {_word(stage)} takes no such input; its inputs: {', '.join(known) or 'none'}"
            raise BadConfig(msg)
    for name, kind in known.items():
        uris = inputs.get(name, ())
        if not uris and kind != "optional" and not (kind == "many" and name in _defaulted(stage.Inputs)):
            msg = f"{_word(stage)} needs --input {name}=URI, got none"
            raise MissingInput(msg)
        if len(uris) > 1 and kind != "many":
            msg = f"--input {name}=…: given {len(uris)} times; {_word(stage)} takes one"
            raise BadConfig(msg)
    return {name: [_link(name, uri) for uri in uris] for name, uris in inputs.items()}


def _defaulted(inputs_type: type[StageInputs]) -> set[str]:
    return {field.name for field in dataclasses.fields(inputs_type) if field.default is not dataclasses.MISSING}


def _word(stage: Stage) -> str:
    return stage.__name__.rsplit(".", 1)[-1]


def _link(name: str, uri: str) -> Link:
    """The input's fingerprint. Raises MissingInput if the input is named after another stage than the one that made it."""
    manifest = manifests.load(uri, f"input {name}")
    if name in STAGE_NAMES and manifest.stage in STAGE_NAMES and manifest.stage != name:
        msg = f"--input {name}={uri}: got a {manifest.stage} artifact; give the URI of a {name} artifact"
        raise MissingInput(msg)
    return Link(uri=uri, fingerprint=manifest.fingerprint)


def fetch(name: str, link: Link, scratch: Path) -> Path:
    """A local directory with the checked files of input ``name``: those that its manifest lists, no others."""
    return integrity.fetch(link.uri, scratch / "inputs", label=f"input {name}")


def _arguments(stage: Stage, fetched: Mapping[str, list[Path]]) -> dict[str, Any]:
    """The fetched inputs in the form the stage's ``Inputs`` declares."""
    known = input_names(stage.Inputs)
    return {name: tuple(paths) if known[name] == "many" else paths[0] for name, paths in fetched.items() if paths}
