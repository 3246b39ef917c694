from typing import get_args

import pytest
from pydantic import ValidationError

from stillhouse.stages import graded, selected, verified
from stillhouse.vocabulary.categories import CATEGORIES, CV_THRESHOLDS, FACTS, PASS_THRESHOLDS, SCALES, SOLVED_SHARES, Category


def test_every_category_has_one_line_of_facts_and_every_table_reads_it():
    tables = (FACTS, SCALES, PASS_THRESHOLDS, CV_THRESHOLDS, SOLVED_SHARES)
    assert [tuple(table) for table in tables] == [CATEGORIES] * 5
    assert get_args(Category) == CATEGORIES
    assert all(0 < facts.pass_threshold < facts.scale for facts in FACTS.values())


@pytest.mark.parametrize(
    ("config", "field", "defaults"),
    [
        (verified.Config, "pass_thresholds", PASS_THRESHOLDS), (selected.Config, "cv_thresholds", CV_THRESHOLDS),
        (graded.Config, "solved_share", SOLVED_SHARES),
    ],
)  # fmt: skip
def test_config_field_by_category_fills_in_the_categories_it_does_not_name(config, field, defaults):
    required = {"small": "s", "medium": "m"} if config is graded.Config else {}
    made = config.model_validate({**required, field: {"math": 0.25}})
    assert getattr(made, field) == {**defaults, "math": 0.25}
    assert getattr(config.model_validate(required), field) == defaults


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        (verified.Config, {"pass_thresholds": {"poetry": 1}}), (selected.Config, {"cv_thresholds": {"math": -1}}),
        (graded.Config, {"small": "s", "medium": "m", "solved_share": {"math": 2}}),
    ],
)  # fmt: skip
def test_config_field_by_category_refuses_unknown_categories_and_values_out_of_bounds(config, fields):
    with pytest.raises(ValidationError):
        config.model_validate(fields)
