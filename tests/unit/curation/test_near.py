import random

import pytest
from pydantic import ValidationError

from stillhouse.curation.config import NearDuplicates
from stillhouse.curation.near import DedupSignatures, duplicates

WORDS = [f"word{number}" for number in range(2000)]


def texts(count, seed=0):
    rng = random.Random(seed)
    return [rng.choices(WORDS, k=40) for _ in range(count)]


def changed(words, places):
    return [f"new{place}" if place in places else word for place, word in enumerate(words)]


def found(tmp_path, given, templates=None, order=None, **config):
    import numpy as np

    signatures = DedupSignatures(tmp_path / "signatures", NearDuplicates(**config))
    for words in given:
        signatures.add(words)
    signatures.close()
    numbers = np.zeros(len(given), np.uint64) if templates is None else np.asarray(templates, np.uint64)
    return {one: (other, score) for one, other, score in duplicates(signatures, numbers, np.asarray(order or range(len(given))))}


def test_duplicates_one_word_changed_is_found_and_names_the_one_kept(tmp_path):
    given = texts(300)
    planted = [changed(words, {3}) for words in given[:50]]
    pairs = found(tmp_path, [*given, *planted], min_similarity=0.7, bands=30)
    assert {one: other for one, (other, _) in pairs.items()} == {300 + number: number for number in range(50)}
    assert all(score >= 0.7 for _, score in pairs.values())


def test_duplicates_half_changed_is_another_question(tmp_path):
    given = texts(50)
    assert found(tmp_path, [*given, *(changed(words, set(range(0, 40, 4))) for words in given)]) == {}


def test_duplicates_first_in_order_is_kept(tmp_path):
    (words,) = texts(1)
    given = [changed(words, {1}), words, changed(words, {1})]
    for first in range(3):
        order = [first, *({0, 1, 2} - {first})]
        pairs = found(tmp_path, given, order=order, min_similarity=0.7, bands=30)
        assert {other for other, _ in pairs.values()} == {first}


def test_duplicates_other_numbers_are_another_question_unless_templates_are_one(tmp_path):
    (words,) = texts(1)
    assert found(tmp_path, [words, words], templates=[1, 2]) == {}
    assert found(tmp_path, [words, words], templates=[1, 2], same_template=True) == {1: (0, 1.0)}


def test_duplicates_chain_is_not_one_group(tmp_path):
    """A near duplicate of a dropped question is dropped only if it is like one that is kept."""
    (words,) = texts(1)
    middle, end = changed(words, {0, 1}), changed(words, {0, 1, 37, 38, 39})
    pairs = found(tmp_path, [words, middle, end], min_similarity=0.8)
    assert set(pairs) == {1}
    assert set(found(tmp_path, [words, middle, end], order=[1, 0, 2], min_similarity=0.8)) == {0, 2}


def test_duplicates_of_nothing_are_none(tmp_path):
    assert found(tmp_path, []) == {}


def test_near_duplicates_bands_must_divide_permutations():
    with pytest.raises(ValidationError, match="multiple of bands"):
        NearDuplicates(permutations=100, bands=3)
