import pytest

from stillhouse.verification.agreement import metrics, told
from stillhouse.vocabulary.rows import Mark
from stillhouse.vocabulary.statistics import wilson_interval


def mark(passed, right, text="<think>t</think><answer>8</answer>"):
    return Mark(
        "q", "toy", "question", 1, 0, "math", [{"role": "user", "content": "1 + 7?"}], "8", None, None, text,
        "correct" if passed else "wrong", passed, right, "exact", "ann", "2026-11-27T00:00:00+00:00",
    )  # fmt: skip


def test_metrics_are_precision_and_recall_with_intervals():
    pairs = [(True, True)] * 6 + [(True, False)] * 2 + [(False, True)] * 4 + [(False, False)] * 8
    found = metrics(pairs)
    assert (found["marks/precision"], found["marks/recall"]) == (0.75, 0.6)
    assert (found["marks/precision_low"], found["marks/precision_high"]) == wilson_interval(0.75, 8)
    assert (found["n_marks"], found["n_marks_pass"], found["n_marks_should_pass"], found["n_marks_pass_rightly"]) == (20, 8, 10, 6)


def test_metrics_without_a_pass_have_no_precision():
    assert "marks/precision" not in metrics([(False, True)])
    assert metrics([]) == {"n_marks": 0, "n_marks_pass": 0, "n_marks_should_pass": 0, "n_marks_pass_rightly": 0}


def test_told_says_what_the_marks_say_of_the_verifier():
    assert list(told([mark(True, True), mark(True, True), mark(False, False)])) == [
        f"  precision of the verifier on them 1.000 ({wilson_interval(1, 2)[0]:.3f} to 1.000)",
        f"  recall of the verifier on them 0.667 ({wilson_interval(2 / 3, 3)[0]:.3f} to {wilson_interval(2 / 3, 3)[1]:.3f})",
    ]


@pytest.mark.parametrize(
    ("passed", "right", "expected"), [(True, True, True), (True, False, False), (False, True, False), (False, False, True)]
)
def test_mark_says_whether_the_response_should_pass(passed, right, expected):
    assert mark(passed, right).should_pass is expected
