"""Phrases that repeat back to back within one response."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stillhouse.screening.tokenise import TokenizedTexts

MAX_PERIOD = 4
"""Longest phrase, in words, whose repetition is counted."""


class Repeat(NamedTuple):
    """How often a phrase repeats back to back, and the phrase."""

    times: int
    phrase: str


def longest_repeats(words: TokenizedTexts) -> list[Repeat]:
    """The most repeated phrase of each text, of at most MAX_PERIOD words: 1 time without a repetition, 0 times without words.

    The 1.4M report (§2.2) checks for excessive consecutive repetition and gives neither length nor count.
    """
    runs = [_runs(words, period) for period in range(1, MAX_PERIOD + 1)]
    with_words = np.flatnonzero(np.diff(words.starts))
    repeats = [Repeat(0, "")] * len(words.by_text)
    if not len(with_words):
        return repeats
    longest = np.stack([np.maximum.reduceat(run, words.starts[with_words]) for run in runs])
    times = longest // np.arange(1, MAX_PERIOD + 1)[:, None] + 1
    best = times.argmax(axis=0)
    for column, (text, shift) in enumerate(zip(with_words.tolist(), best.tolist(), strict=True)):
        phrase = ""
        if longest[shift, column]:
            end = int(runs[shift][words.starts[text] : words.starts[text + 1]].argmax())
            phrase = " ".join(words.by_text[text][end - shift : end + 1])
        repeats[text] = Repeat(int(times[shift, column]), phrase)
    return repeats


def _runs(words: TokenizedTexts, period: int) -> npt.NDArray[np.int64]:
    """For each word, how many words up to it equal the word one period earlier in the same text; (n_words,)."""
    indices = np.arange(len(words.numbers))
    same = np.zeros(len(indices), bool)
    same[period:] = words.numbers[period:] == words.numbers[:-period]
    # The first words of a text have no earlier word to equal.
    first = (words.starts[:-1, None] + np.arange(period)).ravel()
    same[first[first < len(indices)]] = False
    runs: npt.NDArray[np.int64] = indices - np.maximum.accumulate(np.where(same, 0, indices))
    return runs
