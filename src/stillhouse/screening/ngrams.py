"""Strings of tokens that occur often over a whole set of responses (DeepDistill §2.5: 20 tokens, more than 20 times).

Two passes over the texts and exact counts in bounded memory: the first pass hashes every n-gram and, once the hashes fill their
share of memory, moves them to files by hash; the files are then counted one by one. The second pass asks for the frequent ones.
The report names no tokenizer: ours are words, what lies between white space, or a tokenizer by name.
"""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.errors import EngineFailed, one_line
from stillhouse.screening.tokenise import Cut, Tokens, batches, tokens

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Hashes = np.ndarray[Any, np.dtype[np.uint64]]

SPILL = 1 << 24
"""Hashes that are held before they go to files: 128 MiB."""
FILES = 256
"""Files the hashes go to: a set of eight billion n-grams makes files of as many bytes as are held."""
_BASE = 0x9E3779B97F4A7C15


def tokenizer(name: str | None) -> Cut:
    """How texts are cut: by a tokenizer on the Hugging Face hub, or into words. Raises EngineFailed if it cannot be loaded."""
    if name is None:
        return str.split
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        msg = f"ngram_tokenizer {name}: transformers cannot load it: {one_line(error)}; null takes words"
        raise EngineFailed(msg) from error
    cut: Cut = loaded.tokenize
    return cut


class Ngrams:
    """The n-grams of a set of texts: ``add`` every text, ``count`` them once, then ask ``frequent`` of each."""

    def __init__(self, n: int, max_count: int, cut: Cut, scratch: Path, spill: int = SPILL) -> None:
        """An n-gram of ``n`` tokens is frequent if it occurs more than ``max_count`` times; ``scratch`` takes the files."""
        import numpy as np

        self.cut = cut
        self._n, self._max_count = n, max_count
        self._scratch, self._spill = scratch, spill
        self._waiting: list[Hashes] = []
        self._held = 0
        self._powers = self._inverses = np.empty(0, np.uint64)
        self._frequent: dict[int, int] = {}
        self._sorted = np.empty(0, np.uint64)
        self.texts: dict[str, int] = {}
        """The frequent strings that were met, and how often each occurs."""

    def add(self, made: Tokens) -> None:
        """Note the texts' n-grams, every occurrence."""
        hashes, _ = self._hashes(made)
        self._waiting.append(hashes)
        self._held += len(hashes)
        if self._held >= self._spill:
            self._move_to_files()

    def count(self) -> None:
        """Count what was added."""
        import numpy as np

        if any(self._scratch.glob("*.hashes")):
            self._move_to_files()
        # Listed now: what was moved last may have made a file more.
        files = sorted(self._scratch.glob("*.hashes"))
        for part in (np.fromfile(path, np.uint64) for path in files) if files else [self._all_waiting()]:
            found, counts = np.unique(part, return_counts=True)
            often = counts > self._max_count
            self._frequent |= dict(zip(found[often].tolist(), counts[often].tolist(), strict=True))
        self._waiting = []
        self._sorted = np.sort(np.array(list(self._frequent), np.uint64))
        for path in files:
            path.unlink()

    def frequent(self, made: Tokens) -> list[list[str]]:
        """The frequent n-grams of each text, in its order, one for every place where one begins."""
        import numpy as np

        found: list[list[str]] = [[] for _ in made.by_text]
        if not len(self._sorted):
            return found
        hashes, places = self._hashes(made)
        at = np.searchsorted(self._sorted, hashes)
        hits = np.flatnonzero(self._sorted[np.minimum(at, len(self._sorted) - 1)] == hashes)
        texts = np.searchsorted(made.starts, places[hits], side="right") - 1
        for each, place, text in zip(hashes[hits].tolist(), places[hits].tolist(), texts.tolist(), strict=True):
            start = place - int(made.starts[text])
            found[text].append(" ".join(made.by_text[text][start : start + self._n]))
            self.texts[found[text][-1]] = self._frequent[each]
        return found

    def _hashes(self, made: Tokens) -> "tuple[Hashes, Array]":
        """A polynomial hash of every n-gram, modulo 2^64, and where it begins.

        From running sums over all texts: two of them differ by the n-gram's terms alone.
        """
        import numpy as np

        numbers = made.numbers.view(np.uint64)
        if len(numbers) > len(self._powers):
            self._powers, self._inverses = (_powers(base, 2 * len(numbers)) for base in (_BASE, pow(_BASE, -1, 1 << 64)))
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(numbers * self._powers[: len(numbers)], dtype=np.uint64)])
        ends = np.repeat(made.starts[1:], np.diff(made.starts))
        places = np.flatnonzero(ends - np.arange(len(numbers)) >= self._n)
        return (sums[places + self._n] - sums[places]) * self._inverses[places], places

    def _all_waiting(self) -> "Hashes":
        import numpy as np

        return np.concatenate(self._waiting) if self._waiting else np.empty(0, np.uint64)

    def _move_to_files(self) -> None:
        import numpy as np

        hashes = np.sort(self._all_waiting())
        edges = np.searchsorted(hashes >> np.uint64(56), np.arange(FILES + 1))
        for number, (start, end) in enumerate(pairwise(edges)):
            if end > start:
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
    for batch in batches(texts, str):
        ngrams.add(tokens(batch, ngrams.cut))
    ngrams.count()
    return ngrams
