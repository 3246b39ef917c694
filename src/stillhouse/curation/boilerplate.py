"""Sentences that many questions share, such as one instruction before five hundred tasks: left out when questions are compared.

Only where they make up more than half of a question: "How many are left?" is shared by many word problems and belongs to each.
"""

import hashlib
from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stillhouse.curation.words import sentences, words
from stillhouse.vocabulary.ids import normalise
from stillhouse.vocabulary.rows import Message


class SharedSentences:
    """Counts sentences over all questions, 8 bytes for each: ``add`` every question, ``count`` once, then ``rest``."""

    def __init__(self, least: int) -> None:
        """A sentence of at least ``least`` questions is boilerplate."""
        self._least = least
        self._hashes, self._starts = array("Q"), array("Q", [0])
        self._common: set[int] = set()

    def add(self, messages: Sequence[Message]) -> None:
        """Note the sentences of the next question."""
        self._hashes.extend({_hash(sentence) for message in messages for sentence in sentences(message["content"])})
        self._starts.append(len(self._hashes))

    def count(self) -> npt.NDArray[np.int64]:
        """Count the sentences that were added; returns the questions that have boilerplate, by number, ascending, (n_found,)."""
        every = np.frombuffer(self._hashes, np.uint64)
        hashes, counts = np.unique(every, return_counts=True)
        common = hashes[counts >= self._least]
        self._common = set(common.tolist())
        found = np.searchsorted(np.frombuffer(self._starts, np.uint64), np.flatnonzero(np.isin(every, common)), side="right") - 1
        return np.unique(found)

    def rest(self, messages: Sequence[Message]) -> list[Message]:
        """The turns without boilerplate; as they are if it is at most half of their words, or all of them."""
        if not self._common:
            return list(messages)
        own = [
            Message(role=message["role"], content="".join(text for text in parts if _hash(text) not in self._common).strip())
            for message, parts in ((message, sentences(message["content"])) for message in messages)
        ]
        left = sum(len(words(normalise(message["content"]))) for message in own)
        if not left or 2 * left >= sum(len(words(normalise(message["content"]))) for message in messages):
            return list(messages)
        return [message for message in own if message["content"]]


def _hash(sentence: str) -> int:
    text = " ".join(sentence.lower().split())
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")
