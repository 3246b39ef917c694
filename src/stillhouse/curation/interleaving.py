"""Mix several streams of questions into one, by weight."""

import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def interleave(streams: Sequence[tuple[float, Iterator[T]]], seed: int) -> Iterator[T]:
    """Draw the next item's stream at random by weight until all are empty; each stream keeps its own order."""
    rng = random.Random(seed)
    live = list(streams)
    while live:
        number = rng.choices(range(len(live)), weights=[weight for weight, _ in live])[0]
        try:
            yield next(live[number][1])
        except StopIteration:
            del live[number]
