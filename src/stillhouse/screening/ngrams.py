"""Strings of tokens that occur often across a whole set of responses (DeepDistill §2.5: 20 tokens, more than 20 times).

Two passes over the texts give exact counts in bounded memory. The first pass hashes every n-gram; once the hashes fill their share
of memory, it moves them to files by hash, and then counts the files one by one. The second pass looks up the frequent n-grams. The
report names no tokenizer: ours cuts into words at white space, or is a tokenizer by name.
"""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stillhouse.errors import EngineFailed
from stillhouse.screening.tokenise import Cut, TokenizedTexts, batches, tokens
from stillhouse.vocabulary.masking import one_line

Hashes = npt.NDArray[np.uint64]
"""Hashes of n-grams, (n_ngrams,)."""

SPILL = 1 << 24
"""Hashes held in memory before they go to files: 128 MiB."""
FILES = 256
"""Number of files of hashes: with eight billion n-grams a file is about as large as the hashes held in memory."""
_BASE = 0x9E3779B97F4A7C15


def tokenizer(name: str | None) -> Cut:
    """The function that cuts texts: a tokenizer on the Hugging Face hub, or words. Raises EngineFailed if it cannot be loaded."""
    if name is None:
        return str.split
    # Not at the top: the worker image, which cuts into words, has no transformers.
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        msg = f"ngram_tokenizer {name}: transformers cannot load it: {one_line(error)}; null takes words"
        raise EngineFailed(msg) from error
    cut: Cut = loaded.tokenize
    return cut


class Ngrams:
    """The n-grams of a set of texts: ``add`` every text, ``count`` once, then look up ``frequent`` n-grams."""

    def __init__(self, n: int, max_count: int, cut: Cut, scratch: Path, spill: int = SPILL) -> None:
        """An n-gram of ``n`` tokens is frequent if it occurs more than ``max_count`` times; files of hashes go to ``scratch``."""
        self.cut = cut
        self._n, self._max_count = n, max_count
        self._scratch, self._spill = scratch, spill
        self._waiting: list[Hashes] = []
        self._held = 0
        self._powers = self._inverses = np.empty(0, np.uint64)
        self._frequent: dict[int, int] = {}
        self._sorted = np.empty(0, np.uint64)
        self.texts: dict[str, int] = {}
        """The frequent strings that were looked up, with their counts."""

    def add(self, texts: TokenizedTexts) -> None:
        """Note every occurrence of the texts' n-grams."""
        hashes, _ = self._hashes(texts)
        self._waiting.append(hashes)
        self._held += len(hashes)
        if self._held >= self._spill:
            self._move_to_files()

    def count(self) -> None:
        """Count the n-grams that were added."""
        if any(self._scratch.glob("*.hashes")):
            self._move_to_files()
        # Listed only now: the last move may have created another file.
        files = sorted(self._scratch.glob("*.hashes"))
        for part in (np.fromfile(path, np.uint64) for path in files) if files else [self._all_waiting()]:
            hashes, counts = np.unique(part, return_counts=True)
            often = counts > self._max_count
            self._frequent |= dict(zip(hashes[often].tolist(), counts[often].tolist(), strict=True))
        self._waiting = []
        self._sorted = np.sort(np.array(list(self._frequent), np.uint64))
        for path in files:
            path.unlink()

    def frequent(self, texts: TokenizedTexts) -> list[list[str]]:
        """The frequent n-grams of each text, in order, one per occurrence."""
        strings: list[list[str]] = [[] for _ in texts.by_text]
        if not len(self._sorted):
            return strings
        hashes, first_tokens = self._hashes(texts)
        nearest = np.minimum(np.searchsorted(self._sorted, hashes), len(self._sorted) - 1)
        hits = np.flatnonzero(self._sorted[nearest] == hashes)
        of_text = np.searchsorted(texts.starts, first_tokens[hits], side="right") - 1
        for ngram, token, text in zip(hashes[hits].tolist(), first_tokens[hits].tolist(), of_text.tolist(), strict=True):
            start = token - int(texts.starts[text])
            strings[text].append(" ".join(texts.by_text[text][start : start + self._n]))
            self.texts[strings[text][-1]] = self._frequent[ngram]
        return strings

    def _hashes(self, texts: TokenizedTexts) -> tuple[Hashes, npt.NDArray[np.int64]]:
        """A polynomial hash of every n-gram, modulo 2^64, and the index of its first token; both (n_ngrams,).

        From running sums over all texts: two of them differ by exactly the terms of the n-gram between them.
        """
        numbers = texts.numbers.view(np.uint64)
        if len(numbers) > len(self._powers):
            self._powers, self._inverses = (_powers(base, 2 * len(numbers)) for base in (_BASE, pow(_BASE, -1, 1 << 64)))
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(numbers * self._powers[: len(numbers)], dtype=np.uint64)])
        ends = np.repeat(texts.starts[1:], np.diff(texts.starts))
        first_tokens = np.flatnonzero(ends - np.arange(len(numbers)) >= self._n)
        return (sums[first_tokens + self._n] - sums[first_tokens]) * self._inverses[first_tokens], first_tokens

    def _all_waiting(self) -> Hashes:
        return np.concatenate(self._waiting) if self._waiting else np.empty(0, np.uint64)

    def _move_to_files(self) -> None:
        hashes = np.sort(self._all_waiting())
        edges = np.searchsorted(hashes >> np.uint64(56), np.arange(FILES + 1))
        for number, (start, end) in enumerate(pairwise(edges)):
            if end > start:
                with (self._scratch / f"{number:03d}.hashes").open("ab") as file:
                    hashes[start:end].tofile(file)
        self._waiting, self._held = [], 0


def _powers(base: int, n: int) -> Hashes:
    """The first ``n`` powers of the base, modulo 2^64."""
    powers: Hashes = np.multiply.accumulate(np.concatenate([np.ones(1, np.uint64), np.full(n - 1, base, np.uint64)]))
    return powers


def counted(texts: Iterable[str], ngrams: Ngrams) -> Ngrams:
    """The first pass: the counted n-grams of all texts."""
    for batch in batches(texts, str):
        ngrams.add(tokens(batch, ngrams.cut))
    ngrams.count()
    return ngrams
