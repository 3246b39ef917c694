import pytest

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.curation import funnel
from stillhouse.vocabulary.rows import Question


@pytest.mark.parametrize(("n_tokens", "bucket"), [(0, 1), (1, 1), (2, 2), (3, 4), (64, 64), (65, 128)])
def test_length_bucket_is_the_power_of_two_that_holds_it(n_tokens, bucket):
    assert funnel.length_bucket(n_tokens) == bucket


def test_composition_counts_by_every_column():
    chinese = testing.question(category="other", source=None, n_tokens=9, language="zh")
    kept = funnel.KeptCounts()
    kept.add(tables.table([testing.question(source="a:b/c%", n_tokens=5), chinese], Question))
    assert kept.by_column["kept"] == {"a:b/c%": 1, "none": 1}
    assert kept.metrics() == {
        "n_kept": 2, "n_kept/a_b_c_": 1, "n_kept/none": 1, "n_category/math": 1, "n_category/other": 1, "n_language/en": 1,
        "n_language/zh": 1, "n_difficulty/none": 2, "n_length/le_000008": 1, "n_length/le_000016": 1,
    }  # fmt: skip


def test_funnel_counts_down_in_the_order_of_the_rules():
    left = funnel.questions_left(100, {"duplicate": 20, "bad_json": 1, "url": 9})
    assert list(left) == ["bad_json", *funnel.FUNNEL]
    assert (left["bad_json"], left["url"], left["duplicate"], left["downsampled"]) == (99, 90, 70, 70)
