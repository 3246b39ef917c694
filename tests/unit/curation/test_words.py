import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    ("text", "other"), [("8 - 3", "8 + 3"), ("3.5", "35"), ("a ≤ b", "a ≥ b"), ("5 - 3", "5 3"), (".25", "25"), ("f(1,2)", "f(12)")]
)
def test_words_of_different_texts_differ(text, other):
    assert found(text) != found(other)


def test_words_of_chinese_are_its_characters():
    assert found("求 x^2 的值。") == ["求", "x", "^", "2", "的", "值"]


def test_shingles_of_a_short_text_are_the_text():
    assert words.shingles(["a", "b"], 3) == ["a b"]
    assert words.shingles(["a", "b", "c", "d"], 3) == ["a b c", "b c d"]


@given(st.text(alphabet="ab .!?:\n。", max_size=40))
def test_sentences_joined_are_the_text(text):
    assert "".join(words.sentences(text)) == text


def test_sentences_end_at_stops_colons_and_lines():
    found = words.sentences("Be brief. It costs 3.5 dollars!\nRequest: go")
    assert found == ["Be brief. ", "It costs 3.5 dollars!\n", "Request: ", "go"]
