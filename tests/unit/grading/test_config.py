import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.grading import config
from stillhouse.grading.config import coefficient_of_variation, histogram, level, pass_rate, wilson_interval

QB = [0.9, 0.1, 0.7, 0.3, 0.5]
RATES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


@pytest.mark.parametrize(("ddof", "expected"), [(1, 0.632), (0, 0.566)])
def test_coefficient_of_variation_paper_s_example_qb(ddof, expected):
    assert coefficient_of_variation(QB, ddof) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(
    ("scores", "expected"), [([1, 0, 0, 0], 2.0), ([1, 1, 0, 0], 1.1547), ([1, 1, 1, 0], 0.6667), ([1] * 4, 0.0)]
)
def test_coefficient_of_variation_of_binary_scores(scores, expected):
    assert coefficient_of_variation(scores, 1) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("scores", "ddof"), [([0, 0, 0], 1), ([0.5], 1), ([], 0), ([], 1)])
def test_coefficient_of_variation_undefined_is_none(scores, ddof):
    assert coefficient_of_variation(scores, ddof) is None


def test_coefficient_of_variation_one_score_without_ddof_is_0():
    assert coefficient_of_variation([0.5], 0) == 0


@given(st.lists(st.floats(0.01, 5), min_size=2, max_size=8), st.floats(0.1, 10))
def test_coefficient_of_variation_does_not_depend_on_the_scale(scores, factor):
    scaled = coefficient_of_variation([score * factor for score in scores])
    assert scaled == pytest.approx(coefficient_of_variation(scores), abs=1e-9)


def test_pass_rate_threshold_is_strict():
    assert pass_rate([0.99, 1.0, 0.7, 1.0], 0.99) == 0.5


def test_pass_rate_mean_score_is_over_the_scale():
    assert pass_rate([5, 4, 0, 1], 4.99, "mean_score", top=5.0) == 0.5


@pytest.mark.parametrize(
    ("rate", "n", "low", "high"), [(0.5, 4, 0.1500, 0.8500), (1.0, 4, 0.5101, 1.0), (0.0, 10, 0.0, 0.2775), (0.3, 0, 0.0, 1.0)]
)
def test_wilson_interval_known_values(rate, n, low, high):
    assert wilson_interval(rate, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 40), st.integers(1, 40))
def test_wilson_interval_holds_the_rate_and_narrows_with_n(passed, n):
    rate = min(passed, n) / n
    low, high = wilson_interval(rate, n)
    wide_low, wide_high = wilson_interval(rate, max(1, n // 2))
    assert 0 <= low <= rate <= high <= 1
    assert high - low <= wide_high - wide_low + 1e-12


@pytest.mark.parametrize(
    ("small", "medium", "reference", "keep", "expected"),
    [
        (0.5, 0.5, 0, True, 3), (0, 1, 1, True, 2), (0, 0.5, 1, True, 2), (0.5, 0.5, 1, True, 2), (0.5, 1, 1, True, 1),
        (0.5, 0, 1, True, 1), (0, 0, 1, True, 3), (0, 0, 1, False, None), (0, 0, 0.25, False, 3), (0, 0, 0.5, False, None),
        (1, 1, 1, True, None), (1, 0.5, 1, True, None), (0, 0, None, True, None), (0.5, 1, None, True, 1),
        (None, 0.5, 1, True, None),
        (0.5, None, 1, True, None), (None, None, 0, False, 3),
    ],
)  # fmt: skip
def test_level_rule_by_rule(small, medium, reference, keep, expected):
    assert level({"small": small, "medium": medium, "reference": reference}, keep) == expected


@given(RATES, RATES, RATES)
def test_level_covers_every_question_of_the_paper_s_rules(small, medium, reference):
    found = level({"small": small, "medium": medium, "reference": reference}, keep_solved=True)
    in_level_1 = 0 < small < 1
    in_level_2 = (small == 0 and medium > 0) or (0 < small < 1 and 0 < medium < 1)
    assert (found is not None) == (in_level_1 or in_level_2 or reference == 0 or small == 0)
    if reference > 0 and in_level_2:
        assert found == 2


def test_histogram_only_whole_rates_are_at_the_ends():
    assert histogram([0, 0.05, 0.2, 0.5, 0.95, 1.0]) == {"0": 1, "0.25": 2, "0.5": 1, "0.75": 1, "1": 1}


def test_grade_sums_up_one_model():
    made = config.grade("m", [1, 1, 0, 1], 0.99, 1, "indicator", 1.0)
    assert (made["model"], made["n"], made["pass_rate"], made["mean_score"]) == ("m", 4, 0.75, 0.75)
    assert made["cv"] == pytest.approx(2 / 3)
    assert made["low"] < 0.75 < made["high"]
