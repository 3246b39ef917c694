"""Put the shards of an output together once the last one is published."""

import sys
from collections.abc import Iterable, Mapping
from typing import TypeVar

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import reuse, store
from stillhouse.artifacts.manifest import File, Manifest
from stillhouse.vocabulary.shards import Shard

N = TypeVar("N", int, float)


def assemble(output: str, shard_done: Manifest, count: int) -> Manifest:
    """Publish the whole output once every shard is published; until then, return this shard's own manifest."""
    shares = [Shard(index, count) for index in range(count)]
    published = {share.name: manifests.find(share.of(output)) for share in shares}
    done = {name: manifest for name, manifest in published.items() if manifest is not None}
    others = [name for name, manifest in done.items() if manifest.fingerprint != shard_done.fingerprint]
    if others:
        what = f"shard {others[0]} is of another config or other inputs"
        print(
            f"  {output}: {what}; the whole is published once all are of one: choose another version", file=sys.stderr, flush=True
        )
    if others or len(done) < count:
        return shard_done
    whole = shard_done.model_copy(
        update={
            "files": dict(_below(name, *item) for name, part in done.items() for item in part.files.items()),
            "shards": [share.name for share in shares],
            "metrics": _sums(_additive(part.metrics) for part in done.values()),
            "dropped": _sums(part.dropped for part in done.values()),
        }
    )  # fmt: skip
    try:
        manifests.publish(output, whole)
    except store.AlreadyThere:
        # Another shard's writer assembled the same output: same files, same fingerprint.
        return manifests.published(output, whole.fingerprint) or whole
    reuse.note(output, whole.fingerprint)
    return whole


def _below(shard: str, name: str, file: File) -> tuple[str, File]:
    """A shard's file, as the whole output's manifest lists it; a file of another version is named from there already."""
    stored = file.stored if file.stored is None or file.at else f"shards/{shard}/{file.stored}"
    return f"shards/{shard}/{name}", file.model_copy(update={"stored": stored})


def _additive(metrics: Mapping[str, float]) -> dict[str, float]:
    """The counts (``n_…``): a shard's other metrics say nothing about the whole output."""
    return {name: value for name, value in metrics.items() if name.startswith("n_")}


def _sums(counts: Iterable[Mapping[str, N]]) -> dict[str, N]:
    """Sums by name."""
    total: dict[str, N] = {}
    for count in counts:
        for name, value in count.items():
            total[name] = total.get(name, value - value) + value
    return total
