import pytest

from stillhouse.curation import embedding
from stillhouse.curation.config import SemanticDuplicates
from stillhouse.errors import MissingInput


def vectors(count, copies, seed=0, noise=0.02):
    """Random directions, then near copies of the first ones."""
    import numpy as np

    rng = np.random.default_rng(seed)
    made = rng.standard_normal((count, 32)).astype(np.float32)
    made = np.concatenate([made, made[:copies] + noise * rng.standard_normal((copies, 32)).astype(np.float32)])
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.mark.parametrize("exact_up_to", [100_000, 0])
def test_duplicates_planted_copies_are_found_across_blocks(exact_up_to):
    config = SemanticDuplicates(min_similarity=0.95, exact_up_to=exact_up_to)
    found = list(embedding.duplicates(vectors(2500, 200), None, config))
    assert [(row, other) for row, other, _ in found] == [(2500 + number, number) for number in range(200)]
    assert all(0.95 <= score <= 1.001 for _, _, score in found)


def test_duplicates_are_those_of_a_plain_greedy_search():
    import numpy as np

    given = vectors(1500, 600, noise=0.9)
    similarities = given @ given.T
    kept: list[int] = []
    expected = set()
    for row in range(len(given)):
        if kept and similarities[row, kept].max() >= 0.7:
            expected.add(row)
        else:
            kept.append(row)
    found = list(embedding.duplicates(given, None, SemanticDuplicates(min_similarity=0.7)))
    assert {row for row, _, _ in found} == expected
    assert len(expected) > 100
    assert all(np.isclose(similarities[row, other], score, atol=1e-5) and other in kept for row, other, score in found)


def test_duplicates_are_looked_for_within_a_group_alone():
    import numpy as np

    given = vectors(3, 3, noise=0)
    found = list(embedding.duplicates(given, np.asarray([1, 2, 3, 1, 9, 3]), SemanticDuplicates()))
    assert sorted((row, other) for row, other, _ in found) == [(3, 0), (5, 2)]


def test_load_of_no_model_says_what_to_do(tmp_path):
    with pytest.raises(MissingInput, match="there is no such directory, or it is empty; check the path"):
        embedding.load(str(tmp_path / "none"))
