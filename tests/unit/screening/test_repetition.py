import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.screening.repetition import Ngrams, count, longest_repeat


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0), ("one", 1), ("a b c d", 1), ("wait wait wait", 3), ("x a b a b a b y", 3), ("a b c d a b c d", 2),
        ("a b c d e a b c d e", 1), ("a b a b a", 2), ("so so, so", 1), ("a a b b b b c", 4),
    ],
)  # fmt: skip
def test_longest_repeat_counts_phrases_back_to_back(text, expected):
    assert longest_repeat(text) == expected


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), st.integers(2, 6))
def test_longest_repeat_of_a_repeated_phrase_is_at_least_its_count(phrase, times):
    assert longest_repeat(" ".join(phrase * times)) >= times


@given(st.lists(st.lists(st.sampled_from("ab"), max_size=12).map(" ".join), max_size=6), st.integers(1, 4), st.integers(1, 3))
def test_ngrams_frequent_agrees_with_counting_by_hand(texts, n, max_count):
    def grams(text):
        words = text.split()
        return [tuple(words[place : place + n]) for place in range(len(words) - n + 1)]

    everything = [gram for text in texts for gram in grams(text)]
    ngrams = count(texts, n, max_count)
    for text in texts:
        assert ngrams.frequent(text) == sum(everything.count(gram) > max_count for gram in grams(text))


def test_ngrams_paper_s_rule_needs_more_than_twenty_occurrences():
    text = " ".join(f"w{place}" for place in range(20))
    ngrams = Ngrams(20, 20)
    for _ in range(20):
        ngrams.add(text)
    assert ngrams.frequent(text) == 0
    ngrams.add(text)
    assert ngrams.frequent(text) == 1
