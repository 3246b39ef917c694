"""Embeddings on disk: millions of them are compared a block at a time, and memory holds only those that are kept."""

import os
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt


class Vectors(Protocol):
    """Embeddings by row: an array, or a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, width)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: npt.NDArray[np.int64], /) -> npt.NDArray[np.float32]:
        """The embeddings of these rows, (n_rows, width)."""


class VectorFile:
    """Embeddings (n, width) in a file. ``in_order`` looks at them in another order, without a copy."""

    def __init__(self, path: Path, order: npt.NDArray[np.int64] | None = None, shape: tuple[int, int] = (0, 0)) -> None:
        self.shape = shape
        self._path, self._order = path, order
        self._n_written = shape[0]

    def add(self, vectors: npt.NDArray[np.float32]) -> None:
        """Append embeddings, (n, width)."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            np.ascontiguousarray(vectors, np.float32).tofile(file)
        self._n_written += len(vectors)
        self.shape = self._n_written, vectors.shape[1]

    def in_order(self, order: npt.NDArray[np.int64]) -> "VectorFile":
        """The embeddings of these rows, in this order."""
        view = VectorFile(self._path, order, (len(order), self.shape[1]))
        view._n_written = self._n_written
        return view

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        width = self.shape[1]
        vectors = np.empty((len(rows), width), np.float32)
        # Not mapped into memory: mapped pages count as this process's memory.
        with self._path.open("rb", buffering=0) as file:
            for vector, row in zip(vectors, (rows if self._order is None else self._order[rows]).tolist(), strict=True):
                os.preadv(file.fileno(), [vector.data], row * width * vectors.itemsize)
        return vectors
