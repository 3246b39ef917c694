"""Shards: disjoint shares of the keys of a stage."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """One of ``count`` disjoint shares of the keys; ``index`` counts from 0."""

    index: int = 0
    count: int = 1

    @property
    def name(self) -> str:
        """``3-of-16``."""
        return f"{self.index}-of-{self.count}"

    def of(self, output: str) -> str:
        """The URI of this share of an output; the output itself if there is only one share."""
        return output if self.count == 1 else f"{output.rstrip('/')}/shards/{self.name}"

    def holds(self, key: str) -> bool:
        """Whether the key belongs to this shard; depends on the key alone."""
        return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % self.count == self.index
