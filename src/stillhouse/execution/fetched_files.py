"""Which files of its inputs a shard reads, and fetching them: those that can hold its keys, no others.

The steps that shards share name their files by who reads them: ``summary/`` the combine step, ``to-3/`` the shard 3, ``own/`` the
shard that made the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stillhouse.artifacts import integrity, store
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.manifest import Link, Manifest, ModelLink
from stillhouse.execution.contract import ModelSource, Stage
from stillhouse.vocabulary.shards import Shard

SUMMARY, OWN = "summary/", "own/"


@dataclass(frozen=True)
class StepFiles:
    """What earlier steps published, and this one reads."""

    maps: Sequence[tuple[str, list[str]]] = ()
    """URI and file names, by shard."""
    decision: tuple[str, list[str]] | None = None
    dealt: tuple[str, list[str]] | None = None


@dataclass(frozen=True)
class Fetched:
    """Local directories with the files that a task reads."""

    inputs: dict[str, list[Path]]
    listed: dict[str, list[dict[str, int]]] = field(default_factory=dict)
    maps: tuple[Path, ...] = ()
    decision: Path | None = None
    dealt: Path | None = None


def addressed_to(shard: Shard) -> str:
    """The beginning of the names of the files that a step made for this shard."""
    return f"to-{shard.index}/"


def step_files(
    output: str, shard: Shard, step: str, further: tuple[str, ...] = (), *, reads_once: bool = False
) -> StepFiles:  # fmt: skip
    """What a step reads of the steps before it. Raises MissingInput if one of them is not published.

    ``further``: beginnings of the names of files that the combine step reads besides the summaries. ``reads_once``: whether the
    step ``read`` dealt something out to the maps.
    """
    if step in {"read", "map"}:
        is_dealt = step == "map" and reads_once
        read = store.join(output, "read", f"of-{shard.count}")
        return StepFiles(dealt=_beginning(read, addressed_to(shard)) if is_dealt else None)
    shares = [Shard(index, shard.count) for index in range(shard.count)]
    if step == "combine":
        return StepFiles([_beginning(store.join(output, "maps", share.name), SUMMARY, *further) for share in shares])
    maps = [
        _beginning(store.join(output, "maps", share.name), addressed_to(shard), *((OWN,) if share == shard else ()))
        for share in shares
    ]
    return StepFiles(maps, _beginning(store.join(output, "combined", f"of-{shard.count}"), addressed_to(shard)))


def _beginning(uri: str, *beginnings: str) -> tuple[str, list[str]]:
    return uri, [name for name in manifests.load(uri, "step").files if name.startswith(beginnings)]


def fetch_all(
    stage: Stage, links: Mapping[str, Sequence[Link]], steps: StepFiles, shard: Shard, step: str | None, scratch: Path,
    models: ModelSource | None = None,
) -> Fetched:  # fmt: skip
    """Fetch what a task reads, and check it. ``step``: None for a stage that works in one step.

    A model that is no artifact lies in the cache or where it was named.
    """
    read: Mapping[str, Sequence[str]] = getattr(stage, "STEP_INPUTS", {})
    names = [name for name in links if step is None or name in read[step]]
    by_file = set(getattr(stage, "BY_FILE", ())) if step == "map" else set()
    below: Mapping[str, str] = getattr(stage, "READS", {})
    inputs: dict[str, list[Path]] = {}
    listed: dict[str, list[dict[str, int]]] = {}
    for name in names:
        if any(isinstance(link, ModelLink) for link in links[name]):
            inputs[name] = [models.directory(link) for link in links[name]] if models else []
            continue
        loaded = [(link.uri, manifests.load(link.uri, f"input {name}")) for link in links[name]]
        if name in below:
            chosen = [_below(manifest, below[name]) for _, manifest in loaded]
        else:
            chosen = [_nth_files(manifest, shard) if name in by_file else _of_keys(manifest, shard) for _, manifest in loaded]
        inputs[name] = [
            integrity.fetch(uri, scratch / "inputs", files, f"input {name}") for (uri, _), files in zip(loaded, chosen, strict=True)
        ]
        listed[name] = [_parts(manifest) for _, manifest in loaded]
    maps = tuple(integrity.fetch(uri, scratch / "maps", files, "step") for uri, files in steps.maps)
    dealt, decision = [
        integrity.fetch(one[0], scratch / "maps", one[1], "step") if one else None for one in (steps.dealt, steps.decision)
    ]
    return Fetched(inputs, listed, maps, decision, dealt)


def _of_keys(manifest: Manifest, shard: Shard) -> list[str]:
    """The files that can hold a key of the shard: all that no other shard of the artifact alone holds."""
    return [name for name in manifest.files if (made_in := Shard.of_file(name)) is None or made_in.overlaps(shard)]


def _below(manifest: Manifest, directory: str) -> list[str]:
    """The files in this directory, of all shards."""
    return [name for name in manifest.files if f"/{directory}" in f"/{name}"]


def _nth_files(manifest: Manifest, shard: Shard) -> list[str]:
    """Each shard's share of the parts, whatever keys they hold."""
    return [name for number, name in enumerate(_parts(manifest)) if number % shard.count == shard.index]


def _parts(manifest: Manifest) -> dict[str, int]:
    """Part file -> its rows, in the order in which they are read."""
    names = sorted(name for name in manifest.files if Path(name).name.startswith("part-") and "dropped" not in Path(name).parts)
    return {name: manifest.files[name].rows or 0 for name in names}
