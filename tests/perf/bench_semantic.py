"""Semantic deduplication of 100,000 embeddings, exact and by inverted lists, against plain faiss and semhash on the same vectors.

384 values each; 20 % are near copies of an earlier one. Plain faiss looks up the two nearest of every vector in an index of all.
STILLHOUSE_BENCH_ROWS sets another number. Then 40 word problems of our own, each in other words and with other numbers, at 0.85:
the reworded ones are duplicates, those with other numbers are not.
"""

import os
import re
from typing import Any

from stillhouse.curation import embedding
from stillhouse.curation.config import PACKAGED, SemanticDuplicates
from stillhouse.curation.stated_numbers import QuantityTable, quantities
from stillhouse.curation.words import words
from stillhouse.vocabulary.ids import normalise
from tests.perf.measure import peak_gib, table, timed
from tests.perf.rewordings import PAIRS

N_ROWS = int(os.environ.get("STILLHOUSE_BENCH_ROWS", "100_000"))
WIDTH, COPIES, MIN_SIMILARITY = 384, 0.2, 0.95


def main() -> None:
    vectors = _vectors()
    runs = [
        ("stillhouse, exact", *_ours(vectors, N_ROWS)),
        ("stillhouse, inverted lists", *_ours(vectors, 0)),
        ("plain faiss, exact", *_faiss(vectors)),
        ("semhash", *_semhash(vectors)),
    ]
    exact = runs[0][2]
    planted = set(range(N_ROWS - int(COPIES * N_ROWS), N_ROWS))
    table(
        ("100,000 × 384", "seconds", "rows/s", "found", "of planted", "× stillhouse, exact"),
        [(name, seconds, N_ROWS / seconds, len(found), len(found & planted) / len(planted), seconds / runs[0][1])
         for name, seconds, found in runs],
    )  # fmt: skip
    _of_texts()
    print(f"  peak memory {peak_gib():.2f} GiB; {len(exact & runs[2][2])} of {len(exact)} exact ones are faiss's too")


def _of_texts() -> None:
    originals = [text for text, _ in PAIRS]
    forms = {
        "reworded": [text for _, text in PAIRS],
        "other numbers": [re.sub(r"\d+", lambda number: str(int(number[0]) + 3), text) for text in originals],
    }
    model, config = embedding.load(PACKAGED), SemanticDuplicates(min_similarity=0.85)
    rows = []
    for name, texts in forms.items():
        vectors, stated = embedding.embed(model, [*originals, *texts]), QuantityTable()
        for text in (*originals, *texts):
            stated.add(quantities(words(normalise(text))))
        ours = len(embedding.duplicates(vectors, stated, config))
        by_similarity = len(embedding.duplicates(vectors, None, config))
        rows.append((name, ours / len(texts), by_similarity / len(texts)))
    table(("dropped of 40, at 0.85", "stillhouse", "by similarity alone"), rows)


def _vectors() -> Any:
    import numpy as np

    rng = np.random.default_rng(0)
    copies = int(COPIES * N_ROWS)
    # Around 2,000 centres, as texts on a subject are.
    centres = rng.standard_normal((2000, WIDTH), dtype=np.float32)
    made = centres[rng.integers(0, len(centres), N_ROWS - copies)] + rng.standard_normal((N_ROWS - copies, WIDTH), dtype=np.float32)
    made = np.concatenate([made, made[:copies] + 0.2 * rng.standard_normal((copies, WIDTH), dtype=np.float32)])
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def _ours(vectors: Any, exact_up_to: int) -> tuple[float, set[int]]:
    config = SemanticDuplicates(min_similarity=MIN_SIMILARITY, exact_up_to=exact_up_to)
    with timed() as timing:
        found = list(embedding.duplicates(vectors, None, config))
    return timing.seconds, {row for row, _, _ in found}


def _faiss(vectors: Any) -> tuple[float, set[int]]:
    import faiss
    import numpy as np

    with timed() as timing:
        index = faiss.IndexFlatIP(WIDTH)
        index.add(vectors)
        scores, places = index.search(vectors, 2)
    earlier = (scores >= MIN_SIMILARITY) & (places < np.arange(len(vectors))[:, None])
    return timing.seconds, set(np.flatnonzero(earlier.any(axis=1)).tolist())


def _semhash(vectors: Any) -> tuple[float, set[int]]:
    from semhash import SemHash

    with timed() as timing:
        hashed = SemHash.from_embeddings(vectors, [str(row) for row in range(len(vectors))], model=None)
        done = hashed.self_deduplicate(threshold=MIN_SIMILARITY)
    return timing.seconds, {int(each.record) for each in done.filtered}
