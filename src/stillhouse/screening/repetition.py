"""The same words again and again, within a response and across all of them.

Words are what lies between white space: the papers name no tokenizer.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

MAX_PERIOD = 4
"""Longest phrase, in words, whose repetition is looked for."""

_MODULUS = (1 << 61) - 1
_BASE = 1_000_003


def longest_repeat(text: str) -> int:
    """How often a phrase of at most MAX_PERIOD words stands back to back at most: 1 where none repeats, 0 without words.

    The 1.4M report (§2.2) checks for excessive consecutive repetition and gives neither length nor count.
    """
    words = text.split()
    return max((_repeats(words, period) for period in range(1, MAX_PERIOD + 1)), default=0) if words else 0


def _repeats(words: list[str], period: int) -> int:
    longest = run = 0
    for place in range(period, len(words)):
        run = run + 1 if words[place] == words[place - period] else 0
        longest = max(longest, run)
    return longest // period + 1


class Ngrams:
    """Which n-grams of words are frequent in a set of texts. Two passes: ``add`` every text, then ask ``frequent`` of each."""

    def __init__(self, n: int, max_count: int) -> None:
        """An n-gram of ``n`` words is frequent if it occurs more than ``max_count`` times (DeepDistill §2.5: 20 and 20)."""
        self._n, self._max_count = n, max_count
        self._counts: Counter[int] = Counter()
        self._words: dict[str, int] = {}

    def add(self, text: str) -> None:
        """Count the text's n-grams, every occurrence."""
        self._counts.update(self._hashes(text))

    def frequent(self, text: str) -> int:
        """How many places of the text begin a frequent n-gram."""
        return sum(self._counts[each] > self._max_count for each in self._hashes(text))

    def _hashes(self, text: str) -> Iterator[int]:
        """A rolling polynomial hash over word numbers: below 2^61, so that a collision among a billion n-grams is unlikely."""
        numbers = [self._words.setdefault(word, len(self._words) + 1) for word in text.split()]
        if len(numbers) < self._n:
            return
        first = pow(_BASE, self._n - 1, _MODULUS)
        value = 0
        for place, number in enumerate(numbers):
            if place >= self._n:
                value -= numbers[place - self._n] * first
            value = (value * _BASE + number) % _MODULUS
            if place >= self._n - 1:
                yield value


def count(texts: Iterable[str], n: int, max_count: int) -> Ngrams:
    """The first pass over all texts."""
    ngrams = Ngrams(n, max_count)
    for text in texts:
        ngrams.add(text)
    return ngrams
