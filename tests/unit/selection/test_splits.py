import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.selection.config import SplitLimits
from stillhouse.selection.splits import limited, quotas


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, {"math": 100, "code": 30, "other": 7}), ({"caps": {"math": 10, "science": 5}}, {"math": 10, "code": 30, "other": 7}),
        ({"size": 50}, {"math": 100, "code": 30, "other": 7}), ({"mix": {"math": 2.1, "code": 1}}, {"math": 63, "code": 30}),
        ({"mix": {"math": 2.1, "code": 1}, "size": 31}, {"math": 21, "code": 10}),
        ({"mix": {"math": 2.1, "code": 1}, "caps": {"math": 21}}, {"math": 21, "code": 10}),
        ({"mix": {"math": 1, "science": 1}}, {"math": 0, "science": 0}),
    ],
)  # fmt: skip
def test_quotas_of_sizes_caps_and_mixes(limits, expected):
    assert quotas({"math": 100, "code": 30, "other": 7}, SplitLimits(**limits)) == expected


@given(st.integers(1, 500), st.integers(1, 500), st.floats(0.1, 10))
def test_quotas_of_a_mix_keep_its_ratio_and_are_as_large_as_can_be(math, code, weight):
    made = quotas({"math": math, "code": code}, SplitLimits(mix={"math": weight, "code": 1}))
    assert made["math"] <= math
    assert made["code"] <= code
    assert abs(made["math"] - weight * made["code"]) <= max(1, weight)
    assert made["math"] == math or made["code"] == code


def test_limited_takes_the_first_of_each_category_by_rank_and_then_of_all():
    frame = pl.DataFrame({"category": ["math", "math", "code", "math"], "rank": [4, 1, 3, 2]})
    capped = limited(frame, SplitLimits(caps={"math": 2}))
    assert sorted(capped["rank"]) == [1, 2, 3]
    assert limited(frame, SplitLimits(caps={"math": 1}, size=1))["rank"].to_list() == [1]
