"""Shards: disjoint shares of a stage's keys, made by several processes and put together again."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import store
from stillhouse.artifacts.manifest import File, Manifest
from stillhouse.errors import BadConfig

N = TypeVar("N", int, float)


@dataclass(frozen=True)
class Shard:
    """One of ``count`` disjoint shares of the keys; ``index`` counts from 0."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read ``3/16``. Raises BadConfig."""
        index, slash, count = text.partition("/")
        if not (slash and index.isdecimal() and count.isdecimal() and int(index) < int(count)):
            msg = f"--shard {text}: not of the form INDEX/COUNT with 0 <= INDEX < COUNT, such as 3/16"
            raise BadConfig(msg)
        return cls(int(index), int(count))

    @property
    def name(self) -> str:
        """``3-of-16``."""
        return f"{self.index}-of-{self.count}"

    def of(self, output: str) -> str:
        """The URI of this share of an output: the output itself where there is one share."""
        return output if self.count == 1 else store.join(output, "shards", self.name)

    def holds(self, key: str) -> bool:
        """Whether the key belongs to this shard; depends on the key alone."""
        return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % self.count == self.index


def assemble(output: str, shard_done: Manifest, count: int) -> Manifest:
    """Publish the whole once every shard is there; until then the shard's own manifest is the result."""
    shares = [Shard(index, count) for index in range(count)]
    found = {share.name: manifests.find(share.of(output)) for share in shares}
    done = {name: manifest for name, manifest in found.items() if manifest is not None}
    if len(done) < count or any(manifest.fingerprint != shard_done.fingerprint for manifest in done.values()):
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
        # Another shard's writer put together the same whole: same files, same fingerprint.
        return manifests.published(output, whole.fingerprint) or whole
    return whole


def _below(shard: str, name: str, file: File) -> tuple[str, File]:
    """A shard's file, as the whole lists it."""
    stored = None if file.stored is None else f"shards/{shard}/{file.stored}"
    return f"shards/{shard}/{name}", file.model_copy(update={"stored": stored})


def _additive(metrics: Mapping[str, float]) -> dict[str, float]:
    """The counts (``n_…``): other numbers of a shard say nothing about the whole."""
    return {name: value for name, value in metrics.items() if name.startswith("n_")}


def _sums(counts: Iterable[Mapping[str, N]]) -> dict[str, N]:
    """Sums by name."""
    total: dict[str, N] = {}
    for count in counts:
        for name, value in count.items():
            total[name] = total.get(name, value - value) + value
    return total
