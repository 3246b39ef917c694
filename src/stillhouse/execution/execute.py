"""``execute``, once for all stages: fingerprint -> skip, reuse or refuse -> claim -> fetch -> run -> publish."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stillhouse.artifacts import claiming, reuse, store
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.assembly import assemble
from stillhouse.artifacts.lease import Work
from stillhouse.artifacts.manifest import Link
from stillhouse.errors import BadConfig
from stillhouse.execution import input_links, processes, shard_steps, task
from stillhouse.execution.contract import Stage, Step
from stillhouse.execution.input_links import REUSED, stage_word
from stillhouse.execution.task import Result, Task
from stillhouse.vocabulary.settings import StageConfig
from stillhouse.vocabulary.shards import Shard

__all__ = ["Result", "execute"]


def execute(
    stage: Stage,
    config: StageConfig,
    inputs: Mapping[str, str | Sequence[str]],
    output: str,
    shard: Shard | None = None,
    resume: bool = False,
    ranks: bool = False,
    step: Step | None = None,
) -> Result:
    """Make the stage's output, unless it is already published, or another version holds the same result.

    ``inputs`` maps an input's name to its artifact's URI, or several; ``latest`` as the URI of ``previous`` is the version
    published last beside the output, if there is another one. ``output`` is ``{root}/{stage}/{name}/{version}``: absent, empty, or
    left by earlier attempts. While another process does the same work, here or under another version, this one waits. A second call
    with the same config and inputs returns the manifest without running anything. With ``resume`` an earlier attempt must have left
    something to resume. ``ranks``: the stage may run as several processes. ``step``: do only this step of a sharded stage; None
    does all that the shard needs and nobody has done.

    Raises BadConfig if files of others lie at the output, MissingInput if an input has no manifest or there is nothing to resume,
    DamagedArtifact if an input is not what was published, StaleOutput if the output holds another fingerprint's result, LeaseLost
    if another process took the output over, and whatever the stage raises.
    """
    if processes.count() > 1 and not ranks:
        msg = f"WORLD_SIZE is {processes.count()}: {stage_word(stage)} is one process; start it without torchrun"
        raise BadConfig(msg)
    shard, output = shard or Shard(), store.absolute(output)
    if step is not None and shard.count == 1:
        msg = f"--step {step} needs --shard INDEX/COUNT: a single process does all steps at once"
        raise BadConfig(msg)
    links = input_links.resolved(stage, inputs, output)
    claiming.check_output(output, stage_word(stage))
    work = _work(stage, config, links)
    if (whole := task.published(output, work.fingerprint)) is not None:
        if whole.shards and whole.same_as is None:
            processes.from_first(lambda: reuse.note(output, work.fingerprint))
            shard_steps.remove(output)
        return Result(whole, skipped=True)
    made = Task(stage, config, links, work, output, shard, resume)
    return task.make(made) if shard.count == 1 else _make_shard(made, step)


def _make_shard(made: Task, step: Step | None) -> Result:
    """Make one shard, or one step; publish the whole with the last one."""
    output, fingerprint = made.output, made.work.fingerprint
    processes.from_first(lambda: claiming.refuse_foreign(output, store.store_of(output).names(output), claiming.read(output)[0]))
    if reuse.find(output, fingerprint) is not None and (same := task.reused(output, made.work, made.links)) is not None:
        return Result(same, skipped=True)
    done = task.published(made.target, fingerprint)
    result = Result(done, skipped=True) if done else None
    if result is None:
        needed: Callable[[Any], bool] | None = getattr(made.stage, "needs_steps", None)
        if needed is not None and needed(made.config):
            result = shard_steps.make(made, step)
        elif step in {None, "apply"}:
            result = task.make(made)
        else:
            msg = f"--step {step}: {made.work.stage} with this config works row by row, in one step; leave --step out"
            raise BadConfig(msg)
    if step not in {None, "apply"}:
        return result
    whole = assemble(output, result.manifest, made.shard.count)
    if whole.shards:
        shard_steps.remove(output)
    return Result(whole, result.skipped)


def _work(stage: Stage, config: StageConfig, links: Mapping[str, Sequence[Link]]) -> Work:
    """The work to do, with its fingerprint."""
    settings = config.model_dump(mode="json")
    made_of = {name: [link.fingerprint for link in uris] for name, uris in sorted(links.items()) if uris and name != REUSED}
    fingerprint = manifests.fingerprint(stage_word(stage), getattr(stage, "SCHEMA_VERSION", 1), settings, made_of)
    return Work(stage=stage_word(stage), fingerprint=fingerprint, config=settings, inputs=made_of)
