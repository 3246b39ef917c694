"""The same phrase again and again within one response."""

from typing import TYPE_CHECKING, Any, NamedTuple

from stillhouse.screening.tokenise import Tokens

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MAX_PERIOD = 4
"""Longest phrase, in words, whose repetition is looked for."""


class Repeat(NamedTuple):
    """How often a phrase stands back to back, and the phrase."""

    times: int
    phrase: str


def longest_repeats(words: Tokens) -> list[Repeat]:
    """Of each text, the phrase of at most MAX_PERIOD words that most often stands back to back: 1 where none does, 0 without words.

    The 1.4M report (§2.2) checks for excessive consecutive repetition and gives neither length nor count.
    """
    import numpy as np

    runs = [_runs(words, period) for period in range(1, MAX_PERIOD + 1)]
    spoken = np.flatnonzero(np.diff(words.starts))
    made = [Repeat(0, "")] * len(words.by_text)
    if not len(spoken):
        return made
    longest = np.stack([np.maximum.reduceat(run, words.starts[spoken]) for run in runs])
    times = longest // np.arange(1, MAX_PERIOD + 1)[:, None] + 1
    best = times.argmax(axis=0)
    for at, (text, shift) in enumerate(zip(spoken.tolist(), best.tolist(), strict=True)):
        phrase = ""
        if longest[shift, at]:
            end = int(runs[shift][words.starts[text] : words.starts[text + 1]].argmax())
            phrase = " ".join(words.by_text[text][end - shift : end + 1])
        made[text] = Repeat(int(times[shift, at]), phrase)
    return made


def _runs(words: Tokens, period: int) -> "Array":
    """At each word, for how many words up to it every word is the one a period before it in its text."""
    import numpy as np

    places = np.arange(len(words.numbers))
    same = np.zeros(len(places), bool)
    same[period:] = words.numbers[period:] == words.numbers[:-period]
    # The first words of a text have none before them.
    first = (words.starts[:-1, None] + np.arange(period)).ravel()
    same[first[first < len(places)]] = False
    runs: Array = places - np.maximum.accumulate(np.where(same, 0, places))
    return runs
