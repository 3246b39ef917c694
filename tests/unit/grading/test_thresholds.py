import numpy as np
import polars as pl
import pytest

from stillhouse.errors import BadRows
from stillhouse.grading import thresholds
from stillhouse.grading.thresholds import StatedThresholds

CATEGORIES = pl.Series(["math", "science", "math", "other"])


def stated(*rows):
    """``rows``: artifact, questions, thresholds."""
    made = StatedThresholds(CATEGORIES)
    for artifact, questions, values in rows:
        made.add(artifact, np.array(questions, np.int32), np.array(values, float))
    return made


def test_stated_thresholds_are_one_per_category_however_often_they_are_stated():
    made = stated(("verified", [0, 1, 2], [0.5, 4.99, 0.5]), ("verified", [2, 0], [np.nan, 0.5]), ("graded", [1], [4.99]))
    assert made.by_category == {"math": 0.5, "science": 4.99}


@pytest.mark.parametrize(
    "rows",
    [
        [("verified", [0, 2], [0.5, 0.99])], [("verified", [0], [0.99]), ("verified", [2], [0.5])],
        [("verified", [0, 2], [np.nan, 0.5]), ("graded", [0], [0.99])],
    ],
)  # fmt: skip
def test_stated_thresholds_second_one_of_a_category_is_refused_with_both_values(rows):
    with pytest.raises(BadRows, match="math questions have pass threshold") as caught:
        stated(*rows)
    assert all(text in str(caught.value) for text in ("0.5", "0.99", rows[0][0], rows[-1][0]))


@pytest.mark.parametrize(("given", "expected"), [({}, [None] * 4), ({"math": 0.5}, [0.5, None, 0.5, None])])
def test_column_is_null_for_categories_without_a_threshold(given, expected):
    frame = pl.DataFrame({"category": CATEGORIES}).with_columns(thresholds.column(given))
    assert frame["threshold"].to_list() == expected
    assert frame.schema["threshold"] == pl.Float64
