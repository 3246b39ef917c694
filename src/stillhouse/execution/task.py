"""One thing to make: a whole output, one of its shards, or a step that its shards share. Claim -> fetch -> run -> publish."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stillhouse.artifacts import claiming, integrity, publishing, reuse, store
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.lease import Lease, Work
from stillhouse.artifacts.manifest import Link, Manifest, ModelLink
from stillhouse.artifacts.publishing import Publisher
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.errors import LeaseLost
from stillhouse.execution import failure_tables, fetched_files, processes, tracking
from stillhouse.execution.contract import ModelSource, Outputs, Stage, Step
from stillhouse.execution.input_links import arguments, recorded
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


@dataclass(frozen=True)
class Task:
    """What is made, of what, and where it goes."""

    stage: Stage
    config: StageConfig
    links: Mapping[str, list[Link]]
    work: Work
    output: str
    shard: Shard
    resume: bool = False
    models: ModelSource | None = None
    named: Mapping[str, ModelLink] = field(default_factory=dict)
    """The models that the config names, by field."""
    step: Step = "apply"
    combines: bool = False
    """Whether the shard's rows follow from what the steps ``map`` and ``combine`` published."""

    @property
    def target(self) -> str:
        """The URI of what is made."""
        if self.step == "apply":
            return self.shard.of(self.output)
        if self.step == "map":
            return store.join(self.output, "maps", self.shard.name)
        directory = {"read": "read", "combine": "combined"}[self.step]
        return store.join(self.output, directory, f"of-{self.shard.count}")

    @property
    def reads_once(self) -> bool:
        """Whether the maps need what the step ``read`` deals out."""
        needed: Callable[[Any], bool] | None = getattr(self.stage, "needs_reading", None)
        return needed is not None and needed(self.config)

    @property
    def run(self) -> Callable[[Any, Any], Outputs]:
        """The stage's function."""
        if self.step == "apply":
            return self.stage.run
        names = {"read": "deal", "map": "map_shard", "combine": "combine"}
        function: Callable[[Any, Any], Outputs] = getattr(self.stage, names[self.step])
        return function


def published(uri: str, fingerprint: str) -> Manifest | None:
    """The result at a URI, completing what a process that died after its manifest left undone; None without one; all ranks."""

    def completed() -> Manifest | None:
        manifest = manifests.published(uri, fingerprint)
        if manifest is not None:
            publishing.complete(uri, manifest)
            if manifest.same_as is None:
                _finish_run(uri, manifest)
        return manifest

    return processes.from_first(completed)


def make(task: Task) -> Result:
    """Claim the task's target, run the stage and publish what it made.

    If another process publishes the same work first, or another version holds its result, this returns that.
    """
    leases: list[Lease] = []  # rank 0 has one; it stays in its process

    with ExitStack() as held:

        def claim() -> tuple[str, dict[str, str]] | None:
            lease = claiming.take(task.target, task.work, resume=task.resume)
            if lease is None:
                return None
            leases.append(held.enter_context(lease))
            if task.step == "apply" and point(task.target, task.work, task.links, lease) is not None:
                return None
            return lease.claim.owner.attempt, claiming.parts(lease.claim, store.store_of(task.target).names(task.target))

        claimed = processes.from_first(claim)
        if claimed is None:
            return Result(manifests.load(task.target), skipped=True)
        publisher = Publisher(task.target, *claimed, leases[0] if leases else None)
        try:
            return Result(_run(task, publisher), skipped=False)
        except LeaseLost as error:
            winner = manifests.find(task.target)
            if winner is not None and processes.rank() == 0:
                publisher.withdraw(winner)
            if winner is None or processes.count() > 1:
                raise
            manifests.published(task.target, task.work.fingerprint)  # raises StaleOutput if the winner did other work
            print(f"  {one_line(error)}: its result is used", file=sys.stderr, flush=True)
            return Result(winner, skipped=True)


def reused(output: str, work: Work, links: Mapping[str, list[Link]]) -> Manifest | None:
    """The whole output, with the files of another version that has the same fingerprint; None if that one is gone meanwhile."""
    lease = claiming.take(output, work)
    if lease is None:
        return manifests.load(output)
    with lease:
        manifest = point(output, work, links, lease)
        if manifest is None:
            lease.release()
    return manifest


def point(target: str, work: Work, links: Mapping[str, list[Link]], lease: Lease) -> Manifest | None:
    """Publish the result that another version holds of this work, by a manifest that points there; None if none does."""
    origin = reuse.reserve(target, work, lease.claim.owner.attempt)
    if origin is None:
        return None
    _finish_run(origin, manifests.load(origin))
    return reuse.publish(origin, Publisher(target, lease.claim.owner.attempt, {}, lease), recorded(links, {})["inputs"])


def _run(task: Task, publisher: Publisher) -> Manifest:
    """Run the stage and publish what it made.

    Each rank runs it in its own scratch directory, on files that the first rank of its node fetched. Once all have run, rank 0's
    output is published; the other ranks publish only parts, such as their share of a checkpoint.
    """
    with ExitStack() as held:
        with processes.together():  # if one rank fails, nothing is published and all raise the same error
            scratch = held.enter_context(scratch_directory())
            run = held.enter_context(_tracked(task))
            if run:
                run.claimed()
            started = datetime.now(UTC)
            finished, fetched = processes.from_leader(lambda: _fetch_all(task, publisher, scratch))
            processes.gathered(None)  # no rank begins before all have their files
            output_directory = scratch / "output"
            output_directory.mkdir()
            inputs = task.stage.Inputs(
                scratch=scratch, finished=finished, left=tuple(publisher.left), resume=task.resume, shard=task.shard,
                uris={name: [link.uri for link in uris] for name, uris in task.links.items()},
                fingerprints={name: [link.fingerprint for link in uris] for name, uris in task.links.items()},
                publish_part=lambda path: publisher.publish_part(output_directory, path),
                retract_part=lambda path: publisher.retract(output_directory, path), dealt=fetched.dealt,
                maps=fetched.maps, decision=fetched.decision, listed=fetched.listed,
                **arguments(task.stage, fetched.inputs, scratch), **_reporting(run, publisher.lease),
            )  # fmt: skip
            outputs = task.run(task.config, inputs)
        return processes.from_first(lambda: _publish(task, output_directory, publisher, outputs, started, run))


def _publish(
    task: Task, output: Path, publisher: Publisher, outputs: Outputs, started: datetime, run: tracking.Run | None
) -> Manifest:  # fmt: skip
    """Upload the stage's output, its manifest last."""
    work = task.work
    manifest = Manifest(
        stage=work.stage, version=task.output.rsplit("/", 1)[-1], fingerprint=work.fingerprint, config=work.config,
        **recorded(task.links, task.named), files=publisher.upload_all(output), metrics=dict(outputs.metrics),
        dropped=dict(outputs.dropped),
        provenance=manifests.provenance(started, run.id if run else None),
    )  # fmt: skip
    publisher.publish(manifest)
    if run:
        is_kept = isinstance(run, tracking.Tracked)
        tables = failure_tables.written(output, outputs.metrics, output.parent) if is_kept else []
        run.finish(manifest, [*(output / name for name in outputs.artifacts), *tables])
    return manifest


def _finish_run(uri: str, manifest: Manifest) -> None:
    """Finish the tracked run of a published artifact, if it is not finished."""
    with ExitStack() as opened:  # most runs are finished, and need no scratch directory

        def fetched(names: list[str]) -> list[Path]:
            directory = integrity.fetch(uri, opened.enter_context(scratch_directory()), names)
            return [directory / name for name in names]

        tracking.finish_published(uri, manifest, lambda names: fetched(list(names)))


def _reporting(run: tracking.Run | None, lease: Lease | None) -> dict[str, Any]:
    """What a stage reports to: the tracked run, and the claim for how far it is."""
    if run is None:
        return {}
    show = run.progress

    def progress(done: float, total: float, unit: str) -> None:
        if lease:
            lease.reach(f"{done:,.0f} of {total:,.0f}")
        show(done, total, unit)

    return {"progress": progress, "log": run.log, "run_id": run.id}


def _tracked(task: Task) -> AbstractContextManager[tracking.Run | None]:
    """The run of this execution; rank 0 has it, the other ranks None."""
    if processes.rank():
        return nullcontext()
    settings = task.config.in_full() | task.work.config
    return tracking.run(task.work.stage, task.target, settings, task.links, task.work.fingerprint)


def _fetch_all(task: Task, publisher: Publisher, scratch: Path) -> tuple[Path | None, fetched_files.Fetched]:
    """The parts that an earlier attempt left, and the files that the task reads."""
    finished = None
    if publisher.left:
        choose: Callable[[Sequence[str]], Sequence[str]] = getattr(task.stage, "early_files", list)
        wanted = {name: publisher.left[name] for name in choose([*publisher.left])}
        finished, sound = integrity.fetch_parts(publisher.uri, wanted, scratch / "finished")
        publisher.reusable.update(sound)
    steps = fetched_files.StepFiles()
    if task.combines:
        further = getattr(task.stage, "combine_reads", lambda _: ())(task.config)
        steps = fetched_files.step_files(task.output, task.shard, task.step, further, reads_once=task.reads_once)
    step = task.step if task.combines else None
    return finished, fetched_files.fetch_all(task.stage, task.links, steps, task.shard, step, scratch, task.models)
