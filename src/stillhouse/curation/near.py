"""Near duplicates: questions that share most of their shingles, by MinHash and locality-sensitive hashing (Broder 1997)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rensa import RMinHash

from stillhouse.curation.config import NearDuplicates
from stillhouse.curation.words import shingles

BATCH = 4096
"""Questions signed at a time."""
MAX_COMPARED = 64
"""A question is compared with at most this many kept questions, highest priority first: bounds the time of a huge bucket."""


class DedupSignatures:
    """MinHash signatures in a file, one row of 32-bit values per question, computed a batch at a time."""

    def __init__(self, path: Path, config: NearDuplicates) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.config = config
        self._path, self._file = path, path.open("wb")
        self._batch: list[list[str]] = []

    def add(self, question_words: Sequence[str]) -> None:
        """Add the signature of a question."""
        self._batch.append(shingles(question_words, self.config.shingle_words))
        if len(self._batch) == BATCH:
            self._sign()

    def close(self) -> None:
        """Write the remaining signatures."""
        self._sign()
        self._file.close()

    def _sign(self) -> None:
        if self._batch:
            self._signed(self._batch).tofile(self._file)
        self._batch = []

    def _signed(self, batch: Sequence[list[str]]) -> npt.NDArray[np.uint32]:
        """The signatures of shingled questions, (n_questions, permutations)."""
        matrix = RMinHash.digest_matrix_from_token_sets(batch, num_perm=self.config.permutations, seed=self.config.seed)
        return np.asarray(matrix.to_rows(), dtype=np.uint32).reshape(len(batch), -1)

    def replace(self, rows: Sequence[int], words: Sequence[Sequence[str]]) -> None:
        """Sign the questions of these rows anew, by other words, after ``close``."""
        width = self.config.permutations
        matrix = np.memmap(self._path, dtype=np.uint32, mode="r+", shape=(self._path.stat().st_size // (4 * width), width))
        for start in range(0, len(rows), BATCH):
            batch = [shingles(question, self.config.shingle_words) for question in words[start : start + BATCH]]
            matrix[np.asarray(rows[start : start + BATCH])] = self._signed(batch)
        matrix.flush()

    def read(self) -> npt.NDArray[np.uint32]:
        """All signatures as a memory-mapped matrix (n_questions, permutations)."""
        return np.memmap(self._path, dtype=np.uint32, mode="r").reshape(-1, self.config.permutations)


def duplicates(
    signatures: DedupSignatures, templates: npt.NDArray[np.uint64], order: npt.NDArray[np.int64]
) -> Iterator[tuple[int, int, float]]:
    """Find near duplicates: (question, the most similar kept question, similarity).

    ``order`` (n_candidates,) holds the rows of the questions to compare, preferred ones first. A question is a duplicate if a
    question kept before it is similar enough, so that the result depends on the order alone. Only questions that share a band are
    compared. ``templates`` (n_questions,) are hashes of numbers and operators.
    """
    if not order.size:
        return
    config, matrix = signatures.config, signatures.read()
    members, starts, buckets = _buckets(matrix, templates, order, config)
    # Positions in `order` of the kept questions of each bucket: the first, and a list of the others.
    heads = np.full(int(buckets.max(initial=-1)) + 1, -1, dtype=np.int64)
    further: dict[int, list[int]] = {}
    for position, first, end in zip(members.tolist(), starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        shared, question = buckets[first:end], int(order[position])
        kept = heads[shared]
        taken = shared[kept >= 0].tolist()
        if taken:
            near = sorted({*kept[kept >= 0].tolist(), *(other for bucket in taken for other in further.get(bucket, ()))})
            others = order[near[:MAX_COMPARED]]
            similarities = (matrix[others] == matrix[question]).mean(axis=1)
            best = int(np.argmax(similarities))
            if similarities[best] >= config.min_similarity:
                yield question, int(others[best]), float(similarities[best])
                continue
        heads[shared[kept < 0]] = position
        for bucket in taken:
            further.setdefault(bucket, []).append(position)


def _buckets(
    matrix: npt.NDArray[np.uint32], templates: npt.NDArray[np.uint64], order: npt.NDArray[np.int64], config: NearDuplicates
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which questions share which buckets: positions in ``order``, ascending; where each one's buckets begin; the buckets.

    Questions that share no bucket, most of them, are left out.
    """
    positions, buckets, n_buckets = [], [], 0
    for band in range(config.bands):
        keys = _band_keys(matrix, templates, band, config)[order]
        by_key = np.argsort(keys, kind="stable")
        ordered = keys[by_key]
        fresh = np.concatenate(([True], ordered[1:] != ordered[:-1]))
        # Shared bucket: the question before or the question after has the same key.
        shared = ~(fresh & np.append(fresh[1:], True))
        positions.append(by_key[shared].astype(np.uint32))
        buckets.append((np.cumsum(fresh[shared]) - 1 + n_buckets).astype(np.int64))
        n_buckets += int(fresh[shared].sum())
    position, bucket = np.concatenate(positions), np.concatenate(buckets)
    by_position = np.argsort(position, kind="stable")
    members, firsts = np.unique(position[by_position], return_index=True)
    return members, np.append(firsts, len(position)), bucket[by_position]


def _band_keys(
    matrix: npt.NDArray[np.uint32], templates: npt.NDArray[np.uint64], band: int, config: NearDuplicates
) -> npt.NDArray[np.uint64]:
    """One 64-bit key per question: equal if the band's values are equal and, unless ``same_template``, the templates too."""
    width = config.permutations // config.bands
    keys = np.zeros(len(matrix), dtype=np.uint64) if config.same_template else templates.copy()
    for values in np.ascontiguousarray(matrix[:, band * width : (band + 1) * width].T):
        # Steps of a multiplicative hash. A collision of unequal bands costs one comparison, no more.
        keys = (keys ^ values) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys
