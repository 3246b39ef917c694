"""The steps that the shards of a stage share: every shard is mapped, one process combines, every shard is made.

Without a step named, a process does what is missing for its shard. Several processes share the maps: each begins with its own, then
takes those that nobody works on, and waits for the others last. What maps cannot divide is read once, by whichever begins first.
"""

from dataclasses import replace

from stillhouse.artifacts import claiming, store
from stillhouse.artifacts import manifest as manifests
from stillhouse.errors import BadConfig, MissingInput
from stillhouse.execution import task
from stillhouse.execution.contract import Step
from stillhouse.execution.task import Result, Task
from stillhouse.vocabulary.shards import Shard

DIRECTORIES = ("read", "maps", "combined")


def make(apply: Task, step: Step | None) -> Result:
    """Do one step of the shard or, if none is named, all that it needs.

    Raises MissingInput if a step before it is not done, BadConfig for a step that the stage has not.
    """
    apply = replace(apply, combines=True)
    count = apply.shard.count
    # What `--resume` asks for is an earlier try at the shard itself.
    steps = replace(apply, resume=False)
    maps = [replace(steps, step="map", shard=Shard((apply.shard.index + ahead) % count, count)) for ahead in range(count)]
    combine = replace(steps, step="combine")
    if step == "read":
        return _read(maps[0])
    if step == "map":
        return _map(maps[0])
    combined = _done(combine)
    if combined is None and step == "apply":
        msg = f"{combine.target} is not published: run `--step map` of all shards and `--step combine`, or leave --step out"
        raise MissingInput(msg)
    if combined is None:
        _map_all(maps, wait=step is None)
        combined = task.make(combine)
    return combined if step == "combine" else task.make(apply)


def remove(output: str) -> None:
    """Remove what the steps published: nothing reads it once the whole is published."""
    output_store = store.store_of(output)
    for directory in DIRECTORIES:
        uri = store.join(output, directory)
        names = output_store.names(uri)
        for name in sorted(names, key=lambda name: not name.endswith(f"/{manifests.MANIFEST}")):  # manifests first
            output_store.remove(store.join(uri, name))
        if names:
            output_store.tidy(output)


def _done(step: Task) -> Result | None:
    manifest = task.published(step.target, step.work.fingerprint)
    return Result(manifest, skipped=True) if manifest is not None else None


def _map_all(maps: list[Task], *, wait: bool) -> None:
    """Map all shards; those that other processes work on last. Without ``wait``, raise MissingInput for a missing one."""
    missing = [step for step in maps if _done(step) is None]
    if missing and not wait:
        msg = (
            f"{missing[0].target} is not published (missing: {len(missing)} of {len(maps)}); run `--step map` of every shard first"
        )
        raise MissingInput(msg)
    for step in missing:
        if step is maps[0] or not _is_worked_on(step):
            _map(step)
    for step in missing:
        _map(step)


def _map(step: Task) -> Result:
    """Map one shard, after what all maps read once."""
    done = _done(step)
    if done is None and step.reads_once:
        _read(step)
    return done or task.make(step)


def _read(mapped: Task) -> Result:
    """Read once for all maps what they cannot divide; while another process does, this one waits."""
    if not mapped.reads_once:
        msg = f"--step read: {mapped.work.stage} with this config divides all that it reads; go on with --step map"
        raise BadConfig(msg)
    step = replace(mapped, step="read")
    return _done(step) or task.make(step)


def _is_worked_on(step: Task) -> bool:
    """Whether another process has claimed the step, and neither released its claim nor ended."""
    claim, _ = claiming.read(step.target)
    return claim is not None and not claim.released and not claim.owner.is_gone
