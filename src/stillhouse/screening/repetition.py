"""The same phrase again and again within one response."""

from collections.abc import Sequence
from typing import NamedTuple

MAX_PERIOD = 4
"""Longest phrase, in words, whose repetition is looked for."""


class Repeat(NamedTuple):
    """How often a phrase stands back to back, and the phrase."""

    times: int
    phrase: str


def longest_repeat(text: str) -> Repeat:
    """The phrase of at most MAX_PERIOD words that most often stands back to back: 1 where none repeats, 0 without words.

    The 1.4M report (§2.2) checks for excessive consecutive repetition and gives neither length nor count.
    """
    words = text.split()
    if not words:
        return Repeat(0, "")
    return max((_repeat(words, period) for period in range(1, MAX_PERIOD + 1)), key=lambda repeat: repeat.times)


def _repeat(words: Sequence[str], period: int) -> Repeat:
    longest = run = end = 0
    for place in range(period, len(words)):
        run = run + 1 if words[place] == words[place - period] else 0
        if run > longest:
            longest, end = run, place
    return Repeat(longest // period + 1, " ".join(words[end - period + 1 : end + 1]) if longest else "")
