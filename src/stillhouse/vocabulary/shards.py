"""Shards: disjoint shares of the keys of a stage."""

import hashlib
import re
from dataclasses import dataclass
from math import gcd

_FILE = re.compile(r"shards/(\d+)-of-(\d+)/.+")


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

    @classmethod
    def of_file(cls, name: str) -> "Shard | None":
        """The shard that made a file of an artifact, by the file's name; None for a file of one process."""
        match = _FILE.fullmatch(name)
        return cls(int(match[1]), int(match[2])) if match else None

    def overlaps(self, other: "Shard") -> bool:
        """Whether a key can be in both shards: their indices are equal modulo what divides both counts."""
        return (self.index - other.index) % gcd(self.count, other.count) == 0

    def holds(self, key: str) -> bool:
        """Whether the key belongs to this shard; depends on the key alone."""
        return index_of(key, self.count) == self.index


def index_of(key: str, count: int) -> int:
    """The index of the shard, out of ``count``, that holds the key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % count
