import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse import testing
from stillhouse.curation import contamination
from stillhouse.sampling.prompts import previous_answer_prompt

INDEX = contamination.index({"exam": [testing.question("What is 12 + 30?", "42")]})


@pytest.mark.parametrize(
    "text",
    [
        "What is 12 + 30?",
        "what  is\n12 + 30",
        "“What is 12 + 30”!",
        "What is １２ + 30?",
        previous_answer_prompt("What is 12 + 30?", "\\boxed{42}"),
        previous_answer_prompt(previous_answer_prompt("What is 12 + 30?", "7"), "a\nb"),
    ],
)
def test_contaminant_same_question_in_another_guise_is_found(text):
    assert contamination.contaminant(testing.question(text), INDEX) == "exam"


@pytest.mark.parametrize("text", ["What is 12 - 30?", "What is 12 * 30?", "What is 1.2 + 30?", "What is 30 + 12?"])
def test_contaminant_another_question_is_not_found(text):
    assert contamination.contaminant(testing.question(text), INDEX) is None


def test_contaminant_one_turn_of_a_conversation_is_found():
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "What is 12 + 30?"},
    ]  # fmt: skip
    assert contamination.contaminant(testing.question(messages=messages), INDEX) == "exam"


def test_index_question_of_marks_alone_matches_nothing():
    indexed = contamination.index({"exam": [testing.question("?!")]})
    assert contamination.contaminant(testing.question("..."), indexed) is None


@given(st.text(max_size=60), st.text(max_size=20))
def test_underlying_undoes_the_reanswer_prompt(question, answer):
    bare = contamination.underlying(f"x{question}x")
    assert contamination.underlying(previous_answer_prompt(f"x{question}x", answer)) == bare
