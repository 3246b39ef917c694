"""Texts -> tokens, with a number for each: many texts end to end in one array, for rules that work by the column."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

T = TypeVar("T")

Cut = Callable[[str], Sequence[str]]
"""A function that cuts a text into tokens."""
BATCH = 512
"""Texts that are processed together."""
BATCH_CHARACTERS = 4 << 20
"""Characters after which a batch of long texts ends: their tokens take about ten times as many bytes of memory."""


@dataclass(frozen=True)
class TokenizedTexts:
    """The tokens of several texts."""

    by_text: Sequence[Sequence[str]]
    numbers: npt.NDArray[np.int64]
    """(n_tokens,): equal for equal tokens, in all processes, and spread over 64 bits."""
    starts: npt.NDArray[np.int64]
    """(n_texts + 1,): the index of each text's first token, and the end of the last text."""


class _Numbers(dict[str, int]):
    """Token -> its number; most tokens of a batch come again and again."""

    def __missing__(self, token: str) -> int:
        number = self[token] = xxh3_64_intdigest(token.encode(errors="surrogatepass"))
        return number


def tokens(texts: Iterable[str], cut: Cut = str.split) -> TokenizedTexts:
    """Cut the texts, by default into words: the strings between white space."""
    by_text = [cut(text) for text in texts]
    starts = np.cumsum([0, *map(len, by_text)])
    numbers = np.fromiter(map(_Numbers().__getitem__, chain.from_iterable(by_text)), np.uint64, int(starts[-1]))
    return TokenizedTexts(by_text, numbers.view(np.int64), starts)


def batches(items: Iterable[T], text: Callable[[T], str]) -> Iterator[list[T]]:
    """The items in order, in lists of at most BATCH items and about BATCH_CHARACTERS of text."""
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
