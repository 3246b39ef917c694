import pytest

from stillhouse.curation import words
from stillhouse.vocabulary.ids import normalise


def found(text):
    return words.words(normalise(text))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Find x, y and z.", "find x y and z"),
        ("It costs $1,000,000", "it costs 1000000"),
        (r"Solve \(x^2 = 9\)", "solve $x^2=9$"),
        ("What is １２ + 30?", "what is 12 + 30"),
        ("well-known", "well known"),
    ],
)
def test_words_of_one_text_in_another_guise_are_the_same(text, same):
    assert found(text) == found(same)


@pytest.mark.parametrize(
    ("text", "other"), [("8 - 3", "8 + 3"), ("3.5", "35"), ("a ≤ b", "a ≥ b"), ("5 - 3", "5 3"), ("f(1,2)", "f(12)")]
)
def test_words_of_different_texts_differ(text, other):
    assert found(text) != found(other)


def test_words_of_chinese_are_its_characters():
    assert found("求 x^2 的值。") == ["求", "x", "^", "2", "的", "值"]


def test_quantities_are_numbers_and_operators_in_order():
    assert words.quantities(found("Add 3.5 apples to 12 ≤ y - 7, well-known as π")) == ["3.5", "12", "≤", "-", "7"]


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        ("What is 347 + 238?", "What is 348 + 238?", True),
        ("What is 8 - 3?", "What is 8 + 3?", True),
        ("Take 3 of 3 and 4", "Take 3 of 4 and 4", True),
        ("What is 8 - 3?", "Please tell me: what is 8 - 3? It is question 12.", False),
        ("Tom has 3 apples and 4 pears", "Tom has some apples and 4 pears", False),
    ],
)
def test_contradict_takes_something_that_each_lacks(text, other, expected):
    assert words.contradict(found(text), found(other)) is expected


def test_shingles_of_a_short_text_are_the_text():
    assert words.shingles(["a", "b"], 3) == ["a b"]
    assert words.shingles(["a", "b", "c", "d"], 3) == ["a b c", "b c d"]
