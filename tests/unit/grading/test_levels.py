import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.grading.levels import level_of
from tests.oracles import grading as oracle

RATES = st.sampled_from([None, 0.0, 0.25, 0.5, 0.75, 1.0])


def level(small, medium, reference, keep):
    frame = pl.DataFrame(
        {"small": small, "medium": medium, "reference": reference, "keep": keep},
        {**dict.fromkeys(("small", "medium", "reference"), pl.Float64), "keep": pl.Boolean},
    )
    return frame.select(level_of(*map(pl.col, frame.columns))).item()


@pytest.mark.parametrize(
    ("small", "medium", "reference", "keep", "expected"),
    [
        (0.5, 0.5, 0, True, 3), (0, 1, 1, True, 2), (0, 0.5, 1, True, 2), (0.5, 0.5, 1, True, 2), (0.5, 1, 1, True, 1),
        (0.5, 0, 1, True, 1), (0, 0, 1, True, 3), (0, 0, 1, False, None), (0, 0, 0.25, False, 3), (0, 0, 0.5, False, None),
        (1, 1, 1, True, None), (1, 0.5, 1, True, None), (0, 0, None, True, None), (0.5, 1, None, True, 1),
        (None, 0.5, 1, True, None), (0.5, None, 1, True, None), (None, None, 0, False, 3),
    ],
)  # fmt: skip
def test_level_rule_by_rule(small, medium, reference, keep, expected):
    assert level(small, medium, reference, keep) == expected
    assert oracle.level({"small": small, "medium": medium, "reference": reference}, keep) == expected


@settings(deadline=None)
@given(RATES, RATES, RATES, st.booleans())
def test_level_agrees_with_the_oracle(small, medium, reference, keep):
    assert level(small, medium, reference, keep) == oracle.level({"small": small, "medium": medium, "reference": reference}, keep)


@given(*[st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])] * 3)
def test_level_oracle_covers_every_question_of_the_paper_s_rules(small, medium, reference):
    found = oracle.level({"small": small, "medium": medium, "reference": reference}, keep_solved=True)
    in_level_1 = 0 < small < 1
    in_level_2 = (small == 0 and medium > 0) or (0 < small < 1 and 0 < medium < 1)
    assert (found is not None) == (in_level_1 or in_level_2 or reference == 0 or small == 0)
    if reference > 0 and in_level_2:
        assert found == 2
