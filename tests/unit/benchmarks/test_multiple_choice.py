from dataclasses import replace

import pytest

from stillhouse import testing
from stillhouse.benchmarks import multiple_choice
from stillhouse.benchmarks.datasets import Row
from stillhouse.errors import BadRows
from stillhouse.vocabulary.categories import PASS_THRESHOLDS

GPQA = {
    "Question": "Which is a noble gas?",
    "Correct Answer": "neon\n",
    "Incorrect Answer 1": "iron",
    "Incorrect Answer 2": "zinc",
    "Incorrect Answer 3": "lead",
}


def gpqa_rows(n):
    return [Row(GPQA | {"Question": f"Which is a noble gas ({number})?"}) for number in range(n)]


def mmlu_row(number, split, subject="high_school_biology", answer=2):
    return Row(question=f"Q{number}", subject=subject, choices=["w", "x", "y", "z"], answer=answer, split=split)


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (r"\boxed{B}", "B"),
        (r"\boxed{\text{C}}", "C"),
        (r"\boxed{(A)}", "A"),
        (r"\boxed{D) neon}", "D"),
        (r"First \boxed{A}, on reflection \boxed{B}.", "B"),
        (r"The answer is D. \boxed{C}", "C"),
        ("The answer is (D).", "D"),
        ("Final answer: **B**", "B"),
        ("Option A is tempting, but the answer is C", "C"),
        ("C", "C"),
        ("**A**", "A"),
        ("(B)", "B"),
        ("B) neon", "B"),
        ("B. neon", "B"),
        ("A thing of beauty", None),
        ("the answer is a number", None),
        ("neon", None),
        (r"\boxed{neon}", None),
        ("K", None),
    ],
)
def test_letter_an_answer_names(answer, named):
    assert multiple_choice.letter(answer) == named


def test_gpqa_choices_are_shuffled_by_the_question_alone():
    asked = list(multiple_choice.gpqa(gpqa_rows(40), "gpqa-diamond"))
    again = list(multiple_choice.gpqa(gpqa_rows(40)[::-1], "gpqa-diamond"))
    assert asked == again[::-1]
    assert {each.reference_answer for each in asked} == set("ABCD"), "the right choice has no place of its own"
    for each in asked:
        assert f"{each.reference_answer}) neon" in each.messages[0]["content"].splitlines()
        assert each.category == "science"


def test_gpqa_first_order_is_pinned_to_the_revision():
    (asked,) = multiple_choice.gpqa([Row(GPQA)], "gpqa-diamond")
    assert asked.messages[0]["content"].splitlines()[1:5] == ["A) zinc", "B) iron", "C) neon", "D) lead"]


def test_gpqa_other_columns_are_named():
    with pytest.raises(BadRows, match="no column 'Question', it has problem"):
        list(multiple_choice.gpqa([Row(problem="x")], "gpqa-diamond"))


def test_mmlu_shows_five_answered_questions_of_the_subject_whatever_the_order_of_rows():
    dev = [mmlu_row(number, "dev", answer=number % 4) for number in range(6)]
    other = mmlu_row(50, "dev", subject="astronomy")
    (asked,) = multiple_choice.mmlu([mmlu_row(99, "test"), other, *dev], "mmlu")
    text = asked.messages[0]["content"]
    assert text.startswith("Questions on high school biology, the first ones with their answers.")
    assert [line for line in text.splitlines() if line.startswith("Q") and line[1:].isdigit()] == [
        "Q0", "Q1", "Q2", "Q3", "Q4", "Q99"
    ]  # fmt: skip
    assert [line for line in text.splitlines() if line.startswith("Answer")] == [f"Answer: {each}" for each in "ABCDA"]
    assert text.endswith("Q99\nA) w\nB) x\nC) y\nD) z")
    assert asked.reference_answer == "C"


@pytest.mark.parametrize(
    ("category", "answer", "finish_reason", "kind", "score", "passed"),
    [
        ("science", r"\boxed{B}", "stop", "correct", 5.0, True),
        ("other", r"\boxed{B}", "stop", "correct", 1.0, True),
        ("science", r"\boxed{A}", "stop", "wrong", 0.0, False),
        ("science", "neon", "stop", "malformed", 0.0, False),
        ("science", None, "length", "truncated", 0.0, False),
        ("science", "", "stop", "no_answer", 0.0, False),
        ("science", r"\boxed{B}", "error", "error", None, None),
    ],
)
def test_verdicts_are_on_the_scale_of_the_category(category, answer, finish_reason, kind, score, passed):
    asked = testing.question("Which?", "B", category=category)
    row = replace(testing.response(asked), answer=answer, finish_reason=finish_reason, text="<think>", think=None)
    (made,) = multiple_choice.verdicts({asked.question_id: asked}, [row])
    assert (made.kind, made.verify_score, made.passed, made.method) == (kind, score, passed, "choices 1")
    assert made.threshold == PASS_THRESHOLDS[category]
