import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.screening.repetition import longest_repeat


@pytest.mark.parametrize(
    ("text", "count", "phrase"),
    [
        ("", 0, ""), ("one", 1, ""), ("a b c d", 1, ""), ("wait wait wait", 3, "wait"), ("x a b a b a b y", 3, "a b"),
        ("a b c d a b c d", 2, "a b c d"), ("a b c d e a b c d e", 1, ""), ("a b a b a", 2, "b a"), ("so so, so", 1, ""),
        ("a a b b b b c", 4, "b"),
    ],
)  # fmt: skip
def test_longest_repeat_counts_phrases_back_to_back_and_shows_them(text, count, phrase):
    assert longest_repeat(text) == (count, phrase)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), st.integers(2, 6))
def test_longest_repeat_of_a_repeated_phrase_is_at_least_its_count(phrase, times):
    assert longest_repeat(" ".join(phrase * times)).times >= times
