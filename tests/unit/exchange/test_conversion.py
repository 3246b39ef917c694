import pytest

from stillhouse.exchange.conversion import verified
from stillhouse.exchange.record import Record

KEY = ("q", "m", "question", 1, 0)


@pytest.mark.parametrize(
    ("category", "score", "kind", "passed", "threshold"),
    [
        ("math", 1.0, "correct", True, 0.99), ("math", 0.99, "partial", False, 0.99), ("math", 0.0, "wrong", False, 0.99),
        ("science", 5.0, "correct", True, 4.99), ("science", 1.0, "partial", False, 4.99), ("other", 0.8, "correct", True, 0.7),
    ],
)  # fmt: skip
def test_verified_released_score_is_judged_by_the_category_s_threshold_which_the_row_states(
    category, score, kind, passed, threshold
):
    row = verified(Record([], category, verify_score=score), KEY)
    assert (row.kind, row.verify_score, row.passed, row.threshold) == (kind, score, passed, threshold)


def test_verified_response_released_without_a_score_states_no_threshold():
    row = verified(Record([], "math"), KEY)
    assert (row.kind, row.verify_score, row.passed, row.threshold) == ("error", None, None, None)
