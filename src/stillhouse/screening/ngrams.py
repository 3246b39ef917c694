"""Strings of tokens that occur often over a whole set of responses (DeepDistill §2.5: 20 tokens, more than 20 times).

Two passes over the texts and exact counts in bounded memory: the first pass hashes every n-gram and, once the hashes fill their
share of memory, moves them to files by hash; the files are then counted one by one. The second pass asks for the frequent ones.
The report names no tokenizer: ours are words, what lies between white space, or a tokenizer by name.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.errors import EngineFailed, one_line

if TYPE_CHECKING:
    import numpy as np

    Hashes = np.ndarray[Any, np.dtype[np.uint64]]

Tokenize = Callable[[str], Sequence[str]]

SPILL = 1 << 24
"""Hashes that are held before they go to files: 128 MiB."""
FILES = 256
"""Files the hashes go to: a set of eight billion n-grams makes files of as many bytes as are held."""
_BASE = 0x9E3779B97F4A7C15


def tokenizer(name: str | None) -> Tokenize:
    """How texts are cut: by a tokenizer on the Hugging Face hub, or into words. Raises EngineFailed if it cannot be loaded."""
    if name is None:
        return str.split
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        msg = f"ngram_tokenizer {name}: transformers cannot load it: {one_line(error)}; null takes words"
        raise EngineFailed(msg) from error
    cut: Tokenize = loaded.tokenize
    return cut


class Ngrams:
    """The n-grams of a set of texts: ``add`` every text, ``count`` them once, then ask ``frequent`` of each."""

    def __init__(self, n: int, max_count: int, tokenize: Tokenize, scratch: Path, spill: int = SPILL) -> None:
        """An n-gram of ``n`` tokens is frequent if it occurs more than ``max_count`` times; ``scratch`` takes the files."""
        import numpy as np

        self._n, self._max_count, self._tokenize = n, max_count, tokenize
        self._scratch, self._spill = scratch, spill
        self._waiting: list[Hashes] = []
        self._held = 0
        self._powers = self._inverses = np.empty(0, np.uint64)
        self._frequent: dict[int, int] = {}
        self.texts: dict[str, int] = {}
        """The frequent strings that were met, and how often each occurs."""

    def add(self, text: str) -> None:
        """Note the text's n-grams, every occurrence."""
        hashes = self._hashes(self._tokenize(text))
        self._waiting.append(hashes)
        self._held += len(hashes)
        if self._held >= self._spill:
            self._move_to_files()

    def count(self) -> None:
        """Count what was added."""
        import numpy as np

        files = sorted(self._scratch.glob("*.hashes"))
        if files:
            self._move_to_files()
        for part in (np.fromfile(path, np.uint64) for path in files) if files else [self._all_waiting()]:
            found, counts = np.unique(part, return_counts=True)
            often = counts > self._max_count
            self._frequent |= dict(zip(found[often].tolist(), counts[often].tolist(), strict=True))
        self._waiting = []
        for path in files:
            path.unlink()

    def frequent(self, text: str) -> list[str]:
        """The frequent n-grams of the text, in its order, one for every place where one begins."""
        if not self._frequent:
            return []
        tokens = self._tokenize(text)
        found = []
        for place, each in enumerate(self._hashes(tokens).tolist()):
            if each in self._frequent:
                found.append(" ".join(tokens[place : place + self._n]))
                self.texts[found[-1]] = self._frequent[each]
        return found

    def _hashes(self, tokens: Sequence[str]) -> "Hashes":
        """A polynomial hash of every n-gram, modulo 2^64, from running sums: two of them differ by the n-gram's terms alone."""
        import numpy as np

        if len(tokens) < self._n:
            return np.empty(0, np.uint64)
        # Python's own hash of a token, the same within a process, spreads tokens over 64 bits.
        numbers = np.array([hash(token) for token in tokens], np.int64).view(np.uint64)
        if len(numbers) > len(self._powers):
            self._powers, self._inverses = (_powers(base, 2 * len(numbers)) for base in (_BASE, pow(_BASE, -1, 1 << 64)))
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(numbers * self._powers[: len(numbers)], dtype=np.uint64)])
        made: Hashes = (sums[self._n :] - sums[: -self._n]) * self._inverses[: len(sums) - self._n]
        return made

    def _all_waiting(self) -> "Hashes":
        import numpy as np

        return np.concatenate(self._waiting) if self._waiting else np.empty(0, np.uint64)

    def _move_to_files(self) -> None:
        import numpy as np

        hashes = np.sort(self._all_waiting())
        edges = np.searchsorted(hashes >> np.uint64(56), np.arange(FILES + 1))
        for number, (start, end) in enumerate(pairwise(edges)):
            with (self._scratch / f"{number:03d}.hashes").open("ab") as file:
                hashes[start:end].tofile(file)
        self._waiting, self._held = [], 0


def _powers(base: int, n: int) -> "Hashes":
    """The first ``n`` powers, modulo 2^64."""
    import numpy as np

    made: Hashes = np.multiply.accumulate(np.concatenate([np.ones(1, np.uint64), np.full(n - 1, base, np.uint64)]))
    return made


def counted(texts: Iterable[str], ngrams: Ngrams) -> Ngrams:
    """The first pass over all texts."""
    for text in texts:
        ngrams.add(text)
    ngrams.count()
    return ngrams
