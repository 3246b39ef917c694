import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.vocabulary.statistics import wilson_interval


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
