"""Texts -> tokens, and a number to each: many texts at a time, end to end in one array, for rules that look at columns."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

T = TypeVar("T")

Cut = Callable[[str], Sequence[str]]
"""How a text is cut into tokens."""
BATCH = 512
"""Texts that are looked at together."""
BATCH_CHARACTERS = 4 << 20
"""Fewer of long texts: their tokens take about ten times their characters in memory."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of some texts."""

    by_text: Sequence[Sequence[str]]
    numbers: "Array"
    """Of all tokens, end to end, as int64: equal for equal tokens, and spread over 64 bits. Within one process alone."""
    starts: "Array"
    """Where each text begins among them, and where the last one ends."""


def tokens(texts: Iterable[str], cut: Cut = str.split) -> Tokens:
    """Cut the texts; into words, what lies between white space, if nothing else is said."""
    import numpy as np

    by_text = [cut(text) for text in texts]
    starts = np.cumsum([0, *map(len, by_text)])
    # Python's own hash of a string.
    numbers = np.fromiter(map(hash, chain.from_iterable(by_text)), np.int64, int(starts[-1]))
    return Tokens(by_text, numbers, starts)


def batches(items: Iterable[T], text: Callable[[T], str]) -> Iterator[list[T]]:
    """The items in order, in lists of at most BATCH and of about BATCH_CHARACTERS of text."""
    batch: list[T] = []
    characters = 0
    for item in items:
        batch.append(item)
        characters += len(text(item))
        if len(batch) == BATCH or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
