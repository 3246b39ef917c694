import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.screening.repetition import MAX_PERIOD, longest_repeats
from stillhouse.screening.tokenise import tokens


def longest_repeat(text):
    (found,) = longest_repeats(tokens([text]))
    return found


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


def by_hand(text):
    """The definition, word by word."""
    words, best = text.split(), (0, "")
    for period in range(1, MAX_PERIOD + 1):
        for end in range(len(words)):
            times = 1
            while end + 1 - (times + 1) * period >= 0 and all(
                words[end - at] == words[end - at - times * period] for at in range(period)
            ):
                times += 1
            if times > best[0]:
                best = (times, " ".join(words[end - period + 1 : end + 1]) if times > 1 else "")
    return best


@given(st.lists(st.lists(st.sampled_from("ab"), max_size=9).map(" ".join), max_size=6))
def test_longest_repeats_of_many_texts_are_those_of_each(texts):
    assert [found.times for found in longest_repeats(tokens(texts))] == [by_hand(text)[0] for text in texts]
    assert longest_repeats(tokens(texts)) == [longest_repeat(text) for text in texts]
