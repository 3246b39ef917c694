import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.verification import math
from stillhouse.verification.verdict import Request


def kind(answer, reference, finish_reason="stop"):
    return math.verify(Request("math", answer, reference, finish_reason)).kind


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("\\boxed{585}", "585"), ("585", "585"), (" \\boxed{-4}\n", "-4"), ("\\boxed{0.5}", "\\frac{1}{2}"),
        ("\\boxed{\\frac12}", "1/2"),
        ("\\boxed{1234}", "1,234"), ("\\boxed{36}", "36.0"), ("\\boxed{\\sqrt2}", "\\sqrt{2}"), ("\\boxed{(1, 2)}", "(1,2)"),
        ("The answer is \\boxed{7}.", "7"), ("\\boxed{5}", "x=5"), ("\\boxed{7}", "$7$"),
    ],
)  # fmt: skip
def test_math_equal_answers_are_correct(answer, reference):
    assert kind(answer, reference) == "correct"


@pytest.mark.parametrize(
    ("answer", "reference"),
    [("\\boxed{584}", "585"), ("584", "585"), ("\\boxed{\\frac13}", "1/2"), ("\\boxed{(2,1)}", "(1,2)"), ("\\boxed{-7}", "7")],
)
def test_math_unequal_answers_are_wrong_and_say_what_was_got(answer, reference):
    verdict = math.verify(Request("math", answer, reference))
    assert (verdict.kind, verdict.verify_score) == ("wrong", 0.0)
    assert reference.replace("\\", "\\\\") in verdict.detail


def test_math_no_answer_is_told_from_one_cut_off():
    assert (kind(None, "5"), kind("  ", "5"), kind(None, "5", "length")) == ("no_answer", "no_answer", "truncated")


@pytest.mark.parametrize("answer", ["I do not know", "\\boxed{}", "x" * 50_000])
def test_math_unreadable_answer_is_malformed_and_scores_0(answer):
    verdict = math.verify(Request("math", answer, "5"))
    assert (verdict.kind, verdict.verify_score) == ("malformed", 0.0)


@pytest.mark.parametrize(("answer", "reference", "finish"), [("5", None, "stop"), ("5", "", "stop"), ("5", "5", "error")])
def test_math_failures_that_are_not_the_answer_s_are_errors_without_a_score(answer, reference, finish):
    verdict = math.verify(Request("math", answer, reference, finish))
    assert (verdict.kind, verdict.verify_score) == ("error", None)


@settings(max_examples=60, deadline=None)
@given(st.integers(-(10**14), 10**14), st.integers(-3, 3), st.booleans())
def test_math_settled_integers_agree_with_math_verify(number, offset, boxed):
    from math_verify import parse, verify

    answer = f"\\boxed{{{number}}}" if boxed else str(number)
    settled = math.settled(Request("math", answer, str(number + offset)))
    full = verify(parse(str(number + offset), parsing_timeout=None), parse(answer, parsing_timeout=None), timeout_seconds=None)
    assert settled.kind == ("correct" if full else "wrong")


@pytest.mark.parametrize("answer", ["007", "1.0", "\\boxed{1} or \\boxed{2}", "1,000", "\\boxed{2/2}", "9" * 16])
def test_math_settled_leaves_what_is_no_plain_integer_alone(answer):
    assert math.settled(Request("math", answer, "1")) is None
