import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse import testing
from stillhouse.curation import contamination
from stillhouse.curation.config import Decontamination
from stillhouse.curation.normalised import normaliser
from stillhouse.vocabulary.prompts import previous_answer_prompt

NORMALISE = normaliser(None)
TRAIN = (
    "A train leaves the station at noon, travelling north at 60 miles per hour. Two hours later a second train leaves the same "
    "station on a parallel track, travelling north at 90 miles per hour. How many hours after noon does it catch up?"
)
CAPITAL = "Name the capital of France"
EXAM = [testing.question("What is 12 + 30?", "42"), testing.question(TRAIN, "6"), testing.question(CAPITAL, "Paris")]
OTHER_WORDS = ("surely", "perhaps", "indeed", "rather", "hence")


def matches(text, **config):
    benchmark_index = contamination.index({"exam": EXAM}, Decontamination(**config))
    return benchmark_index.matches(NORMALISE(testing.question(text) if isinstance(text, str) else text))


def methods(text, **config):
    return [match.method for match in matches(text, **config)]


def every_seventh_changed(text, first):
    words = text.split()
    for place in range(first, len(words), 7):
        words[place] = OTHER_WORDS[place % len(OTHER_WORDS)]
    return " ".join(words)


@pytest.mark.parametrize(
    "text",
    [
        "What is 12 + 30?",
        "what  is\n12 + 30",
        "“What is 12 + 30”!",
        "What is １２ + 30?",
        previous_answer_prompt("What is 12 + 30?", "\\boxed{42}"),
        previous_answer_prompt(previous_answer_prompt("What is 12 + 30?", "7"), "a\nb"),
        TRAIN.replace(",", ""),
        TRAIN.replace(" at ", ", at, "),
        TRAIN.upper(),
    ],
)
def test_matches_same_question_in_another_guise_is_exact(text):
    assert methods(text) == ["exact"]


PRICES = (
    "A candle costs $1.50, 20% less than a lamp. How many candles and lamps (3/4 of them broken) are 12,000 dollars, at 1:30 PM?"
)


@pytest.mark.parametrize("change", [
    lambda text: re.sub(r"[^\w\s]", "", text.upper()), lambda text: " ".join(re.sub(r"[^\w\s]", " ", text).split()),
])  # fmt: skip
def test_matches_the_question_without_any_sign_is_exact(change):
    benchmark_index = contamination.index({"exam": [testing.question(PRICES)]}, Decontamination(min_similarity=None))
    found = benchmark_index.matches(NORMALISE(testing.question(change(PRICES))))
    assert [match.method for match in found] == ["exact"]


@pytest.mark.parametrize("text", ["What is 1230", "what is 12 30"])
def test_matches_a_short_question_without_signs_is_not_found(text):
    assert methods(text) == []


@pytest.mark.parametrize("text", ["What is 12 - 30?", "What is 1.2 + 30?", "What is 30 + 12?", "What is 12 + 3?"])
def test_matches_another_question_is_not_found(text):
    assert methods(text) == []


@pytest.mark.parametrize("first", range(7))
def test_matches_every_seventh_word_changed_is_found_by_ngrams(first):
    assert methods(every_seventh_changed(TRAIN, first)) == ["ngram"]


@pytest.mark.parametrize(
    "text", [f"A riddle for you. {TRAIN} Explain.", "Quickly: name the capital of France, please", "Tell me: what is 12 + 30?"]
)
def test_matches_question_inside_a_longer_text_is_found_by_ngrams(text):
    assert methods(text) == ["ngram"]


@pytest.mark.parametrize(
    "text",
    [
        TRAIN.replace("60", "50").replace("90", "75"),
        "Name the capital of Germany",
        "A train leaves the station. How many hours after noon does it arrive, if it stops for lunch and the driver sleeps?",
    ],
)
def test_matches_template_with_other_numbers_and_shared_phrases_are_not_found(text):
    assert methods(text) == []


def test_matches_template_with_other_numbers_is_found_where_the_config_says_so():
    assert methods(TRAIN.replace("90", "80"), same_template=True) == ["ngram"]


def test_matches_method_turned_off_finds_nothing():
    assert methods(every_seventh_changed(TRAIN, 3), min_overlap=None) == []


def test_matches_evidence_has_both_texts_and_the_score():
    text = every_seventh_changed(TRAIN, 2)
    (match,) = matches(text)
    assert (match.question, match.benchmark_question) == (text, TRAIN)
    assert (match.benchmark, match.benchmark_question_id) == ("exam", EXAM[1].question_id)
    assert 0.5 <= match.score < 0.7


@pytest.mark.parametrize("prefix", ["", "exam/"])
def test_matches_allowed_pair_stays_in_the_evidence(prefix):
    made = NORMALISE(testing.question(TRAIN)).question
    (match,) = matches(TRAIN, allowed=(f"{prefix}{made.question_id}",))
    assert match.allowed
    assert not matches(TRAIN, allowed=(f"other/{made.question_id}",))[0].allowed


def test_matches_one_turn_of_a_conversation_is_exact():
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "What is 12 + 30?"},
    ]  # fmt: skip
    assert methods(testing.question(messages=messages)) == ["exact"]


def test_index_question_of_marks_alone_matches_nothing():
    benchmark_index = contamination.index({"exam": [testing.question("?!")]}, Decontamination())
    assert benchmark_index.matches(NORMALISE(testing.question("..."))) == []


LETTERS = st.sampled_from("abcdefgh")


@given(st.lists(LETTERS, min_size=8, max_size=20), st.lists(LETTERS, min_size=3, max_size=30))
def test_matches_rare_runs_find_what_comparing_all_runs_finds(asked, given_words):
    config = Decontamination(min_contained=None)
    benchmark_index = contamination.index({"exam": [testing.question(" ".join(asked))]}, config)
    runs = set(zip(asked, asked[1:], asked[2:], strict=False))
    words = NORMALISE(testing.question(" ".join(given_words))).words
    share = len(runs & set(zip(words, words[1:], words[2:], strict=False))) / len(runs)
    assert bool(benchmark_index.matches(NORMALISE(testing.question(" ".join(given_words))))) == (share >= 0.5)


@given(st.lists(LETTERS, min_size=12, max_size=40), st.integers(0, 30), st.integers(10, 30))
def test_matches_any_part_of_a_question_is_found_in_it(asked, start, size):
    part = asked[start : start + size]
    benchmark_index = contamination.index({"exam": [testing.question(" ".join(asked))]}, Decontamination())
    grams = [set(zip(text, text[1:], text[2:], strict=False)) for text in (part, asked)]
    is_found = bool(benchmark_index.matches(NORMALISE(testing.question(" ".join(part)))))
    assert is_found or len(part) < 10 or len(grams[0]) < max(0.25 * len(grams[1]), 0.8 * 8)


FIRST_HALF, LAST_HALF = TRAIN[: len(TRAIN) // 2], TRAIN[len(TRAIN) // 2 :]


@pytest.mark.parametrize("text", [FIRST_HALF, LAST_HALF, TRAIN.rpartition(". ")[0], f"A riddle: {LAST_HALF}"])
def test_matches_part_of_a_question_is_found(text):
    assert methods(text) in (["contained"], ["ngram"])


@pytest.mark.parametrize("text", [FIRST_HALF.replace("60", "50"), "How many hours after noon?"])
def test_matches_part_with_other_numbers_or_few_words_is_not_found(text):
    assert methods(text) == []
    assert methods(FIRST_HALF, min_contained=None, min_overlap=0.6) == []


@given(st.text(max_size=60), st.text(max_size=20))
def test_underlying_undoes_the_reanswer_prompt(question, answer):
    bare = contamination.underlying(f"x{question}x")
    assert contamination.underlying(previous_answer_prompt(f"x{question}x", answer)) == bare
