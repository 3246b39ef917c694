"""The embeddings that were kept so far, and the nearest of them: all are compared, or those of the nearest k-means cells.

Memory is reserved once for all rows that may be kept. An index that grows as it is filled holds up to twice its vectors, and three
times while it copies itself.
"""

from typing import Any, Protocol

import faiss
import numpy as np
import numpy.typing as npt

from stillhouse.curation.config import SemanticDuplicates
from stillhouse.curation.vector_file import Vectors

BLOCK = 1024
"""Rows compared with all kept ones at a time."""
TRAINING_PER_CELL = 40
"""Embeddings that each cell is trained on; faiss warns below 39."""
Nearest = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]
"""Similarities and numbers of the nearest kept rows, in the order in which they were kept; both (n, k), -1 for none."""


class KeptVectors(Protocol):
    """Embeddings that were kept, in their order."""

    def add(self, vectors: npt.NDArray[np.float32], places: npt.NDArray[np.int64]) -> None:
        """Keep embeddings, (n, width); ``places`` (n,) are their positions among all rows that are compared."""

    def search(self, block: npt.NDArray[np.float32], k: int) -> Nearest:
        """The ``k`` most similar kept rows of each row of a block, (n, width)."""


class AllKept:
    """Compares with every kept row."""

    def __init__(self, size: int, width: int) -> None:
        self._vectors = np.empty((size, width), np.float32)  # pages that nothing was written to take no memory
        self._n_kept = 0

    def add(self, vectors: npt.NDArray[np.float32], places: npt.NDArray[np.int64]) -> None:
        """See KeptVectors."""
        self._vectors[self._n_kept : self._n_kept + len(vectors)] = vectors
        self._n_kept += len(vectors)

    def search(self, block: npt.NDArray[np.float32], k: int) -> Nearest:
        """See KeptVectors."""
        similarities, numbers = faiss.knn(block, self._vectors[: self._n_kept], k, metric=faiss.METRIC_INNER_PRODUCT)
        return similarities, numbers


class KeptInCells:
    """Compares with the kept rows of the nearest cells: an inverted file."""

    def __init__(self, embeddings: Vectors, rows: npt.NDArray[np.int64], n_cells: int, probes: int) -> None:
        width = embeddings.shape[1]
        self._quantizer = faiss.IndexFlatIP(width)
        self._index = faiss.IndexIVFFlat(self._quantizer, width, n_cells, faiss.METRIC_INNER_PRODUCT)
        # Evenly spaced rows, so that the training set does not depend on chance.
        self._index.train(np.ascontiguousarray(embeddings[rows[:: max(len(rows) // (n_cells * TRAINING_PER_CELL), 1)]]))
        self._index.nprobe = min(probes, n_cells)
        starts = range(0, len(rows), BLOCK)
        blocks = (np.ascontiguousarray(embeddings[rows[start : start + BLOCK]]) for start in starts)
        self._cells = np.concatenate([self._quantizer.assign(block, 1)[:, 0] for block in blocks])
        lists: Any = self._index.invlists
        for cell, size in enumerate(np.bincount(self._cells, minlength=n_cells).tolist()):
            lists.resize(cell, size)
            lists.resize(cell, 0)  # the memory stays

    def add(self, vectors: npt.NDArray[np.float32], places: npt.NDArray[np.int64]) -> None:
        """See KeptVectors."""
        vectors, cells = np.ascontiguousarray(vectors), self._cells[places]
        self._index.add_core(len(vectors), faiss.swig_ptr(vectors), None, faiss.swig_ptr(cells))

    def search(self, block: npt.NDArray[np.float32], k: int) -> Nearest:
        """See KeptVectors."""
        similarities, numbers = self._index.search(block, k)
        return similarities, numbers


def kept_vectors(embeddings: Vectors, rows: npt.NDArray[np.int64], config: SemanticDuplicates) -> KeptVectors:
    """None kept yet of these rows: compared exactly, or by cells if there are many rows."""
    if len(rows) <= config.exact_up_to:
        return AllKept(len(rows), embeddings.shape[1])
    n_cells = max(min(int(4 * len(rows) ** 0.5), len(rows) // TRAINING_PER_CELL), 1)
    return KeptInCells(embeddings, rows, n_cells, config.probes)
