"""``execute``, once for all stages: fingerprint -> skip or refuse -> fetch -> run -> publish."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stillhouse.artifacts import claiming, integrity, publishing, store
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.assembly import assemble
from stillhouse.artifacts.lease import Lease, Work
from stillhouse.artifacts.manifest import Link, Manifest, ModelLink
from stillhouse.artifacts.publishing import Publisher
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.errors import BadConfig, LeaseLost
from stillhouse.execution import processes, tracking
from stillhouse.execution.contract import ModelSource, Outputs, PinnedConfig, Stage, word
from stillhouse.execution.linking import REUSED, arguments, fetch, linked
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.settings import StageConfig
from stillhouse.vocabulary.shards import Shard


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
    models: ModelSource | None = None,
) -> Result:
    """Make the stage's output, unless it is already published.

    ``inputs`` maps an input's name to its artifact's URI, or several; ``latest`` as the URI of ``previous`` is the version
    published last beside the output, if there is another one. ``output`` is ``{root}/{stage}/{name}/{version}``: absent, empty, or
    left by earlier attempts. While another process writes there, this one waits. A second call with the same config and inputs
    returns the manifest without running anything. With ``resume`` an earlier attempt must have left something to resume.
    ``ranks``: the stage may run as several processes. ``models`` finds the models that inputs and the config name; without it,
    models are artifacts.

    Raises BadConfig if files of others lie at the output, MissingInput if an input has no manifest or there is nothing to resume,
    DamagedArtifact if an input is not what was published, StaleOutput if the output holds another fingerprint's result, LeaseLost
    if another process took the output over, and whatever the stage raises.
    """
    if processes.count() > 1 and not ranks:
        msg = f"WORLD_SIZE is {processes.count()}: {word(stage)} is one process; start it without torchrun"
        raise BadConfig(msg)
    shard, output = shard or Shard(), store.absolute(output)
    listed = {name: [uris] if isinstance(uris, str) else list(uris) for name, uris in inputs.items()}
    claiming.check_output(output, word(stage))
    links = linked(stage, listed, output, models)
    pinned = processes.from_first(lambda: _pinned(config, output, models))
    work = _work(stage, pinned, links)
    if (whole := _published(output, work.fingerprint)) is not None:
        return Result(whole, skipped=True)
    done = None
    if shard.count > 1:
        processes.from_first(
            lambda: claiming.refuse_foreign(output, store.store_of(output).names(output), claiming.read(output)[0])
        )
        done = _published(shard.of(output), work.fingerprint)
    result = Result(done, skipped=True) if done else _make(stage, pinned, links, work, output, shard, resume, models)
    return result if shard.count == 1 else Result(assemble(output, result.manifest, shard.count), result.skipped)


def _pinned(config: StageConfig, output: str, models: ModelSource | None) -> PinnedConfig:
    """The config with the models that it names fixed."""
    return models.pin_config(config, output) if models else PinnedConfig(config, config.model_dump(mode="json"), {})


def _work(stage: Stage, pinned: PinnedConfig, links: Mapping[str, Sequence[Link]]) -> Work:
    """The work to do, with its fingerprint."""
    settings = pinned.settings
    made_of = {name: [link.fingerprint for link in uris] for name, uris in sorted(links.items()) if uris and name != REUSED}
    fingerprint = manifests.fingerprint(word(stage), getattr(stage, "SCHEMA_VERSION", 1), settings, made_of)
    return Work(stage=word(stage), fingerprint=fingerprint, config=settings, inputs=made_of)


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
    stage: Stage, pinned: PinnedConfig, links: dict[str, list[Link]], work: Work, output: str, shard: Shard, resume: bool,
    models: ModelSource | None,
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
            return lease.claim.owner.attempt, claiming.parts(lease.claim, store.store_of(target).names(target))

        claimed = processes.from_first(claim)
        if claimed is None:
            return Result(manifests.load(target), skipped=True)
        publisher = Publisher(target, *claimed, leases[0] if leases else None)
        try:
            return Result(_run(stage, pinned, links, work, output, shard, resume, models, publisher), skipped=False)
        except LeaseLost as error:
            winner = manifests.find(target)
            if winner is not None and processes.rank() == 0:
                publisher.withdraw(winner)
            if winner is None or processes.count() > 1:
                raise
            manifests.published(target, work.fingerprint)  # raises StaleOutput if the winner did other work
            print(f"  {one_line(error)}: its result is used", file=sys.stderr, flush=True)
            return Result(winner, skipped=True)


def _run(
    stage: Stage, pinned: PinnedConfig, links: dict[str, list[Link]], work: Work, output: str, shard: Shard, resume: bool,
    models: ModelSource | None, publisher: Publisher,
) -> Manifest:  # fmt: skip
    """Run the stage and publish what it made.

    Each rank runs it in its own scratch directory, on files that the first rank of its node fetched. Once all have run, rank 0's
    output is published; the other ranks publish only parts, such as their share of a checkpoint.
    """
    identity = {
        "stage": work.stage, "version": output.rsplit("/", 1)[-1], "fingerprint": work.fingerprint, "config": work.config,
        **_recorded(links, pinned.models),
    }  # fmt: skip
    with ExitStack() as held:
        with processes.together():  # if one rank fails, nothing is published and all raise the same error
            scratch = held.enter_context(scratch_directory())
            run = held.enter_context(_tracked(work.stage, publisher.uri, work.config, links, work.fingerprint))
            if run:
                run.claimed()
            started = datetime.now(UTC)
            finished, fetched = processes.from_leader(lambda: _fetch_all(links, publisher, scratch, models))
            processes.gathered(None)  # no rank begins before all have their files
            output_directory = scratch / "output"
            output_directory.mkdir()
            inputs = stage.Inputs(
                scratch=scratch, finished=finished, resume=resume, shard=shard,
                uris={name: [link.uri for link in uris] for name, uris in links.items()},
                fingerprints={name: [link.fingerprint for link in uris] for name, uris in links.items()},
                publish_part=lambda path: publisher.publish_part(output_directory, path),
                retract_part=lambda path: publisher.retract(output_directory, path), **arguments(stage, fetched),
                **_reporting(run),
            )  # fmt: skip
            outputs = stage.run(pinned.config, inputs)
        return processes.from_first(lambda: _publish(identity, output_directory, publisher, outputs, started, run))


def _recorded(links: Mapping[str, Sequence[Link]], models: Mapping[str, ModelLink]) -> dict[str, Any]:
    """The manifest's inputs, which are artifacts, and its models, which are not."""
    named = {name: link for name, uris in links.items() for link in uris if isinstance(link, ModelLink)}
    artifacts = {name: [link for link in uris if not isinstance(link, ModelLink)] for name, uris in links.items()}
    return {"inputs": {name: uris for name, uris in artifacts.items() if uris or not links[name]}, "models": named | dict(models)}


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
    links: dict[str, list[Link]], publisher: Publisher, scratch: Path, models: ModelSource | None
) -> tuple[Path | None, dict[str, list[Path]]]:  # fmt: skip
    """The parts that an earlier attempt left, and the inputs by name."""
    finished = None
    if publisher.left:
        finished, sound = integrity.fetch_parts(publisher.uri, publisher.left, scratch / "finished")
        publisher.reusable.update(sound)
    return finished, {name: [fetch(name, link, scratch, models) for link in uris] for name, uris in links.items()}
