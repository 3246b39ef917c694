"""``execute``, once for all stages: fingerprint -> skip or refuse -> fetch -> run -> publish."""

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import publishing, store
from stillhouse.artifacts.manifest import Link, Manifest
from stillhouse.artifacts.publishing import Claim
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.artifacts.shards import Shard, assemble
from stillhouse.errors import BadConfig, MissingInput
from stillhouse.execution import processes, tracking
from stillhouse.execution.contract import Outputs, Stage, StageInputs, input_names
from stillhouse.vocabulary.settings import StageConfig

REUSED = "previous"
"""The input that spares work and changes no row: rows that would be made again are taken over. Never in a fingerprint."""
LAST = "latest"
"""As the URI of ``previous``: whatever version was published last."""


@dataclass(frozen=True)
class Result:
    """What ``execute`` did: the manifest, and whether it was there before."""

    manifest: Manifest
    skipped: bool


def execute(
    stage: Stage,
    config: StageConfig,
    inputs: Mapping[str, Sequence[str]],
    output: str,
    shard: Shard | None = None,
    resume: bool = False,
    ranks: bool = False,
) -> Result:
    """Make the stage's output, unless it is there.

    ``inputs`` maps an input's name to its artifact URIs; ``latest`` as the URI of ``previous`` is the version published last beside
    the output, if there is another one. With ``resume`` an earlier try must have left something to go on from. ``ranks``: the stage
    may run as several processes. Raises MissingInput where it did not or an input has no manifest, StaleOutput where the output
    holds another fingerprint's result or another writer publishes first, and whatever the stage raises. A second call with the same
    config and inputs returns the manifest without running anything.
    """
    if processes.count() > 1 and not ranks:
        msg = f"WORLD_SIZE is {processes.count()}: {_word(stage)} is one process; start it without torchrun"
        raise BadConfig(msg)
    shard = shard or Shard()
    output = store.absolute(output)
    links = _links(stage, {key: [store.absolute(uri) for uri in uris] for key, uris in _with_latest(inputs, output).items()})
    settings = config.model_dump(mode="json")
    made_of = {key: [link.fingerprint for link in value] for key, value in sorted(links.items()) if value and key != REUSED}
    fingerprint = manifests.fingerprint(_word(stage), getattr(stage, "SCHEMA_VERSION", 1), settings, made_of)
    if (whole := processes.from_first(lambda: manifests.published(output, fingerprint))) is not None:
        _make_up(output, whole)
        return Result(whole, skipped=True)
    target = shard.of(output)
    found = processes.from_first(lambda: manifests.published(target, fingerprint))
    claim = Claim(fingerprint=fingerprint, config=settings, inputs=made_of)
    if found:
        _make_up(target, found)
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
        left = processes.from_first(lambda: publishing.claim(target, claim, resume=resume))
        if run:
            run.claimed()
        started = datetime.now(UTC)
        finished, fetched = processes.from_leader(lambda: _fetch_all(links, target, left, scratch))
        made = scratch / "output"
        made.mkdir()
        inputs = stage.Inputs(
            scratch=scratch, finished=finished, resume=resume, shard=shard,
            uris={key: [link.uri for link in value] for key, value in links.items()},
            publish_part=lambda path: publishing.upload(made, path, target),
            retract_part=lambda path: publishing.retract(made, path, target), **_arguments(stage, fetched),
            **_told(run),
        )  # fmt: skip
        with processes.together():  # where one rank failed, nothing is published and all say the same
            outputs = stage.run(config, inputs)
        return processes.from_first(lambda: _publish(identity, made, target, outputs, started, run))


def _publish(
    identity: Mapping[str, Any], made: Path, target: str, outputs: Outputs, started: datetime, run: tracking.Run | None
) -> Manifest:
    """Upload what the stage made, its manifest last."""
    publishing.refuse_if_published(target)
    done = Manifest(
        **identity, files=publishing.upload_all(made, target), metrics=dict(outputs.metrics), dropped=dict(outputs.dropped),
        provenance=manifests.provenance(started, run.id if run else None),
    )  # fmt: skip
    publishing.publish(target, done)
    publishing.remove_strays(target, done)
    if run:
        run.finish(done, [made / each for each in outputs.artifacts])
    return done


def _make_up(uri: str, manifest: Manifest) -> None:
    """Finish the tracked run of a published artifact, if it is not finished; rank 0 does it for all."""
    if processes.rank():
        return
    with scratch_directory() as scratch:

        def fetched(names: Sequence[str]) -> list[Path]:
            directory = store.store_of(uri).fetch(uri, scratch, names)
            return [directory / name for name in names]

        tracking.make_up(uri, manifest, fetched)


def _told(run: tracking.Run | None) -> dict[str, Any]:
    return {"progress": run.progress, "log": run.log, "run_id": run.id} if run else {}


def _tracked(
    name: str, target: str, settings: dict[str, Any], links: dict[str, list[Link]], fingerprint: str
) -> AbstractContextManager[tracking.Run | None]:
    """The run of this execution; rank 0 has it for all, the others None."""
    return tracking.run(name, target, settings, links, fingerprint) if processes.rank() == 0 else nullcontext()


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
