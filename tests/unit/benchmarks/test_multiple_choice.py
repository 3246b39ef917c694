from dataclasses import replace

import pytest

from stillhouse import testing
from stillhouse.benchmarks import multiple_choice
from stillhouse.verification import choices
from stillhouse.vocabulary.categories import PASS_THRESHOLDS


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
    assert choices.named(answer) == named


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
    assert (made.kind, made.verify_score, made.passed, made.method) == (kind, score, passed, "choices 2")
    assert made.threshold == PASS_THRESHOLDS[category]
