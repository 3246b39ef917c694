"""Strings of tokens that occur often across a whole set of responses (DeepDistill §2.5: 20 tokens, more than 20 times).

Two passes over the texts give exact counts in bounded memory. The first pass hashes every n-gram; once the hashes fill their share
of memory, it moves them to files by hash, and then counts the files one by one. The second pass looks up the frequent n-grams. The
report names no tokenizer: ours cuts into words at white space, or is a tokenizer by name.

In shards, each counts its own texts and publishes every hash with its count, sorted; their sums are the counts over all texts.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stillhouse.errors import EngineFailed
from stillhouse.execution.row_pool import mapped
from stillhouse.screening.tokenise import Cut, TokenizedTexts, batches, tokens
from stillhouse.vocabulary.masking import one_line

Hashes = npt.NDArray[np.uint64]
"""Hashes of n-grams, (n_ngrams,)."""

SPILL = 1 << 24
"""Hashes held in memory before they go to files: 128 MiB."""
FILES = 256
"""Number of files of hashes: with eight billion n-grams a file is about as large as the hashes held in memory."""
PAIR = np.dtype([("hash", np.uint64), ("count", np.uint32)])
"""One n-gram's hash and its count, as they are kept between the steps of shards."""
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

    def __init__(self, n: int, max_count: int, cut: Cut, scratch: Path | None = None, spill: int = SPILL) -> None:
        """An n-gram of ``n`` tokens is frequent if it occurs more than ``max_count`` times.

        Files of hashes go to ``scratch``; None where n-grams are only hashed or looked up.
        """
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
        self.add_hashes(self.hashes(texts)[0])

    def add_hashes(self, hashes: Hashes) -> None:
        """Note every occurrence of n-grams by their hashes."""
        self._waiting.append(hashes)
        self._held += len(hashes)
        if self._held >= self._spill:
            self._move_to_files()

    def count(self) -> None:
        """Count the n-grams that were added."""
        for hashes, counts in self.counts():
            often = counts > self._max_count
            self.take(hashes[often], counts[often])

    def counts(self) -> Iterator[tuple[Hashes, npt.NDArray[np.int64]]]:
        """The hashes that were added, ascending, with their counts, a stretch at a time."""
        if self._files():
            self._move_to_files()
        # Listed only now: the last move may have created another file.
        files = self._files()
        for part in (np.fromfile(path, np.uint64) for path in files) if files else [self._all_waiting()]:
            hashes, counts = np.unique(part, return_counts=True)
            yield hashes, counts.astype(np.int64)
        self._waiting, self._held = [], 0
        for path in files:
            path.unlink()

    def take(self, hashes: Hashes, counts: npt.NDArray[np.int64]) -> None:
        """Take n-grams as frequent that were counted, here or elsewhere."""
        self._frequent |= dict(zip(hashes.tolist(), counts.tolist(), strict=True))
        self._sorted = np.sort(np.array(list(self._frequent), np.uint64))

    def counted(self) -> tuple[Hashes, npt.NDArray[np.int64]]:
        """The frequent n-grams' hashes, ascending, and their counts."""
        return self._sorted, np.array([self._frequent[number] for number in self._sorted.tolist()], np.int64)

    def frequent(self, texts: TokenizedTexts) -> list[list[str]]:
        """The frequent n-grams of each text, in order, one per occurrence."""
        strings: list[list[str]] = [[] for _ in texts.by_text]
        if not len(self._sorted):
            return strings
        hashes, first_tokens = self.hashes(texts)
        nearest = np.minimum(np.searchsorted(self._sorted, hashes), len(self._sorted) - 1)
        hits = np.flatnonzero(self._sorted[nearest] == hashes)
        of_text = np.searchsorted(texts.starts, first_tokens[hits], side="right") - 1
        for ngram, token, text in zip(hashes[hits].tolist(), first_tokens[hits].tolist(), of_text.tolist(), strict=True):
            start = token - int(texts.starts[text])
            strings[text].append(" ".join(texts.by_text[text][start : start + self._n]))
            self.texts[strings[text][-1]] = self._frequent[ngram]
        return strings

    def hashes(self, texts: TokenizedTexts) -> tuple[Hashes, npt.NDArray[np.int64]]:
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

    def _files(self) -> list[Path]:
        return sorted(self._scratch.glob("*.hashes")) if self._scratch else []

    def _move_to_files(self) -> None:
        assert self._scratch is not None
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


def add_all(texts: Iterable[str], counting: Ngrams, n: int, tokenizer_name: str | None) -> None:
    """Add the n-grams of all texts; all cores hash."""
    for hashes in mapped(partial(_hasher, n, tokenizer_name), batches(texts, str)):
        counting.add_hashes(hashes)


def _hasher(n: int, tokenizer_name: str | None) -> Callable[[list[str]], Hashes]:
    """A function that hashes the n-grams of a batch of texts."""
    counting = Ngrams(n, 0, tokenizer(tokenizer_name))
    return lambda batch: counting.hashes(tokens(batch, counting.cut))[0]


def save_counts(counting: Ngrams, path: Path) -> int:
    """Write all hashes with their counts, ascending; returns how many there are."""
    total = 0
    with path.open("wb") as file:
        for hashes, counts in counting.counts():
            pairs = np.empty(len(hashes), PAIR)
            pairs["hash"], pairs["count"] = hashes, counts
            pairs.tofile(file)
            total += len(pairs)
    return total


def add_counts(paths: Sequence[Path], max_count: int, stretches: int = FILES) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Add up the counts in several files: hashes of the n-grams that are frequent in all texts, ascending, and their counts.

    Reads a stretch of hashes at a time.
    """
    files = [np.memmap(path, PAIR, "r") if path.stat().st_size else np.empty(0, PAIR) for path in paths]
    edges = np.arange(1, stretches, dtype=np.uint64) * np.uint64((1 << 64) // stretches)
    bounds = [np.concatenate([[0], np.searchsorted(file["hash"], edges), [len(file)]]) for file in files]
    frequent = [(np.empty(0, np.uint64), np.empty(0, np.int64))]
    for stretch in range(stretches):
        parts = [file[ends[stretch] : ends[stretch + 1]] for file, ends in zip(files, bounds, strict=True)]
        hashes, index = np.unique(np.concatenate([part["hash"] for part in parts]), return_inverse=True)
        counts = np.bincount(index, np.concatenate([part["count"] for part in parts]), len(hashes)).astype(np.int64)
        frequent.append((hashes[counts > max_count], counts[counts > max_count]))
    return np.concatenate([hashes for hashes, _ in frequent]), np.concatenate([counts for _, counts in frequent])
