import pytest

from stillhouse.verification import math
from stillhouse.verification.math import MathVerifier
from stillhouse.verification.verdict import VerificationRequest


def kind(answer, reference, finish_reason="stop"):
    return MathVerifier().verify(VerificationRequest("math", answer, reference, finish_reason)).kind


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
    verdict = MathVerifier().verify(VerificationRequest("math", answer, reference))
    assert (verdict.kind, verdict.verify_score) == ("wrong", 0.0)
    assert reference.replace("\\", "\\\\") in verdict.detail


def test_math_no_answer_is_told_from_one_cut_off():
    assert (kind(None, "5"), kind("  ", "5"), kind(None, "5", "length")) == ("no_answer", "no_answer", "truncated")


@pytest.mark.parametrize("answer", ["I do not know", "\\boxed{}", "x" * 50_000])
def test_math_unreadable_answer_is_malformed_and_scores_0(answer):
    verdict = MathVerifier().verify(VerificationRequest("math", answer, "5"))
    assert (verdict.kind, verdict.verify_score) == ("malformed", 0.0)


@pytest.mark.parametrize(("answer", "reference", "finish"), [("5", None, "stop"), ("5", "", "stop"), ("5", "5", "error")])
def test_math_failures_that_are_not_the_answer_s_are_errors_without_a_score(answer, reference, finish):
    verdict = MathVerifier().verify(VerificationRequest("math", answer, reference, finish))
    assert (verdict.kind, verdict.verify_score) == ("error", None)


@pytest.mark.parametrize(
    ("answer", "reference", "kind"),
    [
        ("\\boxed{\\dfrac{2}{4}}", "\\frac12", "correct"),
        ("10\\%", "0.1", "correct"),
        ("$10\\%$", "0.1", "correct"),
        ("\\boxed{10}", "10\\%", "correct"),
        ("\\boxed{\\{2, 1\\}}", "1, 2", "correct"),
        ("\\boxed{(2,1)}", "(1,2)", "wrong"),
        ("\\boxed{(1,2)}", "1,2", "correct"),
        ("\\boxed{[1,2)}", "(1,2)", "wrong"),
        ("\\boxed{\\$1,234}", "1234", "correct"),
        ("\\boxed{0.333333}", "\\frac13", "correct"),
        ("\\boxed{0.3333}", "\\frac13", "wrong"),
        ("\\boxed{\\sqrt{8}}", "2\\sqrt{2}", "correct"),
        ("\\boxed{(x+1)^2}", "x^2+2x+1", "correct"),
        ("\\boxed{30^\\circ}", "30", "correct"),
        ("\\boxed{5\\text{ cm}}", "5", "correct"),
        ("\\boxed{\\int_0^1 x}", "\\int_0^1 x", "correct"),
    ],
)  # fmt: skip
def test_math_fast_path_decides_plain_answers_without_a_process(answer, reference, kind):
    verdict = MathVerifier().fast_path(VerificationRequest("math", answer, reference))
    assert (verdict and verdict.kind) == kind
    if verdict:
        assert verdict.method == "exact"


def test_math_only_the_end_of_a_long_answer_is_read():
    long = "Let us see. $x^2$\n" * 100_000
    assert kind(f"{long}\\boxed{{7}}", "7") == "correct"
    assert kind(f"\\boxed{{8}} {long} \\boxed{{7}} {'so it is. ' * 300}", "7") == "correct"
    assert kind(f"\\boxed{{7}} {'so it is. ' * 30_000}", "7") == "correct"
    assert kind(f"{long}The result is 7.", "7") == "correct"
    trimmed = MathVerifier().trimmed(VerificationRequest("math", f"{long}7", "7", prompt="long", constraints="0.1"))
    assert (len(trimmed.answer) <= math.LONGEST_ANSWER, trimmed.prompt, trimmed.constraints) == (True, None, "0.1")


def test_math_answer_phrase_far_from_the_end_is_read():
    assert kind(f"The final answer is $14916$. {'Note that no digit is zero. ' * 60}", "14916") == "correct"


@pytest.mark.parametrize(
    "answer", ["\\boxed{" + "(" * 100_000, "\\boxed{" + "9" * 10_000_000 + "}", "\\boxed{" + "{" * 100_000 + "}" * 100_000 + "}"]
)
def test_math_endless_formula_scores_0_at_once_and_says_its_length(answer):
    verdict = MathVerifier().fast_path(VerificationRequest("math", answer, "7"))
    assert (verdict.kind, verdict.verify_score) == ("wrong", 0.0)
    assert "unreasonable: " in verdict.detail
    assert " characters" in verdict.detail


def test_math_reference_that_is_no_mathematics_is_an_error_unless_the_answer_is_the_same_text():
    assert kind("\\boxed{7}", "\\frac{1}{}{") == "error"
    assert kind("\\boxed{5.}", "5.") == "correct"
