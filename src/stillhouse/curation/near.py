"""Near duplicates: questions that share most of their runs of words, by MinHash and locality-sensitive hashing."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from stillhouse.curation.words import shingles
from stillhouse.vocabulary.settings import StageConfig

if TYPE_CHECKING:
    import numpy as np

BATCH = 4096
"""Questions signed at a time."""
MAX_COMPARED = 64
"""Kept questions that one question is compared with at most, those of highest priority first: bounds the time of a huge bucket."""


class NearDuplicates(StageConfig):
    """What counts as a near duplicate. The papers give no value: the 1.4M report keeps one of each group of similar entries."""

    min_similarity: float = Field(0.8, gt=0, le=1)
    """Jaccard similarity of the sets of runs, as estimated by MinHash, from which on two questions are one."""
    shingle_words: int = Field(3, ge=1)
    """Words to a run."""
    permutations: int = Field(120, ge=8)
    """Length of a signature; the estimate's standard error is at most 0.5 / sqrt(permutations)."""
    bands: int = Field(20, ge=1)
    """Bands of r = permutations / bands values. A pair of similarity s is compared with probability 1 - (1 - s^r)^bands: by default
    0.998 at 0.8."""
    same_template: bool = False
    """Take questions that differ in numbers or operators for duplicates too."""
    seed: int = Field(42, ge=0)
    """Decides the permutations."""

    @model_validator(mode="after")
    def _even(self) -> "NearDuplicates":
        if self.permutations % self.bands:
            msg = f"permutations must be a multiple of bands, {self.permutations} is none of {self.bands}"
            raise ValueError(msg)
        return self


class Signatures:
    """MinHash signatures in a file, one row of 32-bit values to a question, signed a batch at a time."""

    def __init__(self, path: Path, config: NearDuplicates) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.config = config
        self._path, self._file = path, path.open("wb")
        self._batch: list[list[str]] = []

    def add(self, found: Sequence[str]) -> None:
        """Sign the question of these words."""
        self._batch.append(shingles(found, self.config.shingle_words))
        if len(self._batch) == BATCH:
            self._sign()

    def close(self) -> None:
        """Sign what is left to sign."""
        self._sign()
        self._file.close()

    def _sign(self) -> None:
        import numpy as np
        from rensa import RMinHash

        made = RMinHash.digest_matrix_from_token_sets(self._batch, num_perm=self.config.permutations, seed=self.config.seed)
        np.asarray(made.to_rows(), dtype=np.uint32).tofile(self._file)
        self._batch = []

    def read(self) -> "np.ndarray[Any, Any]":
        """All signatures, as a matrix that lies in the file."""
        import numpy as np

        return np.memmap(self._path, dtype=np.uint32, mode="r").reshape(-1, self.config.permutations)


def duplicates(
    signatures: Signatures, templates: "np.ndarray[Any, Any]", order: "np.ndarray[Any, Any]"
) -> Iterator[tuple[int, int, float]]:
    """Which questions are near duplicates: (question, the kept one it is most like, similarity).

    ``order`` holds the questions to look at, those to keep first; each is a duplicate if one that was kept before it is similar
    enough. What is kept so depends on the order alone. Compared are questions that share a band.
    """
    import numpy as np

    if not order.size:
        return
    config, matrix = signatures.config, signatures.read()
    members, starts, buckets = _buckets(matrix, templates, order, config)
    # Places in `order` of the kept questions of each bucket: the first, and where there are more the others.
    heads = np.full(int(buckets.max(initial=-1)) + 1, -1, dtype=np.int64)
    further: dict[int, list[int]] = {}
    for place, first, end in zip(members.tolist(), starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        shared, question = buckets[first:end], int(order[place])
        found = heads[shared]
        taken = shared[found >= 0].tolist()
        if taken:
            near = sorted({*found[found >= 0].tolist(), *(other for bucket in taken for other in further.get(bucket, ()))})
            others = order[near[:MAX_COMPARED]]
            similarities = (matrix[others] == matrix[question]).mean(axis=1)
            best = int(np.argmax(similarities))
            if similarities[best] >= config.min_similarity:
                yield question, int(others[best]), float(similarities[best])
                continue
        heads[shared[found < 0]] = place
        for bucket in taken:
            further.setdefault(bucket, []).append(place)


def _buckets(
    matrix: "np.ndarray[Any, Any]", templates: "np.ndarray[Any, Any]", order: "np.ndarray[Any, Any]", config: NearDuplicates
) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    """Who shares a bucket with whom: places in ``order`` in rising order, where the buckets of each begin, and the buckets.

    Questions alone in all their buckets, most of them, are left out.
    """
    import numpy as np

    places, buckets, n_buckets = [], [], 0
    for band in range(config.bands):
        keys = _band_keys(matrix, templates, band, config)[order]
        by_key = np.argsort(keys, kind="stable")
        ordered = keys[by_key]
        fresh = np.concatenate(([True], ordered[1:] != ordered[:-1]))
        # In a bucket with others: the question before or the one after has the same key.
        shared = ~(fresh & np.append(fresh[1:], True))
        places.append(by_key[shared].astype(np.uint32))
        buckets.append((np.cumsum(fresh[shared]) - 1 + n_buckets).astype(np.int64))
        n_buckets += int(fresh[shared].sum())
    place, bucket = np.concatenate(places), np.concatenate(buckets)
    by_place = np.argsort(place, kind="stable")
    members, firsts = np.unique(place[by_place], return_index=True)
    return members, np.append(firsts, len(place)), bucket[by_place]


def _band_keys(
    matrix: "np.ndarray[Any, Any]", templates: "np.ndarray[Any, Any]", band: int, config: NearDuplicates
) -> "np.ndarray[Any, Any]":
    """One 64-bit key to a question: equal where the band's values are, and the numbers and operators unless templates are one."""
    import numpy as np

    width = config.permutations // config.bands
    keys = np.zeros(len(matrix), dtype=np.uint64) if config.same_template else templates.copy()
    for values in np.ascontiguousarray(matrix[:, band * width : (band + 1) * width].T):
        # Steps of a multiplicative hash: where unequal bands meet in one key it costs a comparison, no more.
        keys = (keys ^ values) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys
