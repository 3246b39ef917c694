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
from stillhouse.execution.contract import ModelSource, PinnedConfig, Stage, Step
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
    models: ModelSource | None = None,
) -> Result:
    """Make the stage's output, unless it is already published, or another version holds the same result.

    ``inputs`` maps an input's name to its artifact's URI, or several; ``latest`` as the URI of ``previous`` is the version
    published last beside the output, if there is another one. ``output`` is ``{root}/{stage}/{name}/{version}``: absent, empty, or
    left by earlier attempts. While another process does the same work, here or under another version, this one waits. A second call
    with the same config and inputs returns the manifest without running anything. With ``resume`` an earlier attempt must have left
    something to resume. ``ranks``: the stage may run as several processes. ``step``: do only this step of a sharded stage; None
    does all that the shard needs and nobody has done. ``models`` finds the models that inputs and the config name; without it,
    models are artifacts.

    Raises BadConfig if files of others lie at the output, MissingInput if an input has no manifest or there is nothing to resume,
    DamagedArtifact if an input is not what was published, StaleOutput if the output holds another fingerprint's result, LeaseLost
    if another process took the output over, and whatever the stage raises.
    """
    shard, output = shard or Shard(), store.absolute(output)
    _check_processes(stage, shard, ranks=ranks, step=step)
    claiming.check_output(output, stage_word(stage))
    links = input_links.resolved(stage, inputs, output, models)
    pinned = processes.from_first(lambda: _pinned(config, output, models))
    work = _work(stage, pinned.settings, links)
    if (whole := task.published(output, work.fingerprint)) is not None:
        if whole.shards and whole.same_as is None:
            processes.from_first(lambda: reuse.note(output, work.fingerprint))
            shard_steps.remove(output)
        return Result(whole, skipped=True)
    made = Task(stage, pinned.config, links, work, output, shard, resume, models, pinned.models)
    return task.make(made) if shard.count == 1 else _make_shard(made, step)


def _check_processes(stage: Stage, shard: Shard, *, ranks: bool, step: Step | None) -> None:
    """Raise BadConfig for several processes of a stage that is one, and for a step of a stage that is not sharded."""
    if processes.count() > 1 and not ranks:
        msg = f"WORLD_SIZE is {processes.count()}: {stage_word(stage)} is one process; start it without torchrun"
        raise BadConfig(msg)
    if step is not None and shard.count == 1:
        msg = f"--step {step} needs --shard INDEX/COUNT: a single process does all steps at once"
        raise BadConfig(msg)


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
        elif step in {None, "apply"} or (needed is not None and step != "read"):
            # Whichever step of a DAG comes first makes the shard; the others find it done.
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


def _pinned(config: StageConfig, output: str, models: ModelSource | None) -> PinnedConfig:
    """The config with the models that it names fixed."""
    return models.pin_config(config, output) if models else PinnedConfig(config, config.model_dump(mode="json"), {})


def _work(stage: Stage, settings: dict[str, Any], links: Mapping[str, Sequence[Link]]) -> Work:
    """The work to do, with its fingerprint."""
    made_of = {name: [link.fingerprint for link in uris] for name, uris in sorted(links.items()) if uris and name != REUSED}
    fingerprint = manifests.fingerprint(stage_word(stage), getattr(stage, "SCHEMA_VERSION", 1), settings, made_of)
    return Work(stage=stage_word(stage), fingerprint=fingerprint, config=settings, inputs=made_of)
