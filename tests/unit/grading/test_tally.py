import statistics

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.errors import BadRows
from stillhouse.grading import tally
from stillhouse.grading.keys import Part, Seen
from stillhouse.grading.thresholds import StatedThresholds
from stillhouse.vocabulary.categories import FACTS, PASS_THRESHOLDS
from stillhouse.vocabulary.rows import Question
from tests.oracles import grading as oracle

SHARES = st.lists(
    st.one_of(st.sampled_from([0.0, 0.7, 0.99, 0.998, 1.0]), st.integers(0, 100).map(lambda n: n / 100)), min_size=1, max_size=6
)
RATES = st.sampled_from([None, 0.0, 0.25, 0.5, 0.75, 1.0])


def tallied(scores, category="math"):
    """One question's scores, summed up."""
    scores = np.array(scores, float)
    made = tally.ScoreTally(1)
    made.add(np.zeros(len(scores), np.int32), scores, scores > PASS_THRESHOLDS[category])
    return pl.DataFrame(made.columns(0)).with_columns(category=pl.lit(category))


def cv(scores, ddof):
    return tallied(scores).select(tally.coefficient_of_variation(0, ddof)).item()


@pytest.mark.parametrize(("ddof", "expected"), [(1, 0.632), (0, 0.566)])
def test_coefficient_of_variation_paper_s_example_qb(ddof, expected):
    assert cv([0.9, 0.1, 0.7, 0.3, 0.5], ddof) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(
    ("scores", "expected"), [([1, 0, 0, 0], 2.0), ([1, 1, 0, 0], 1.1547), ([1, 1, 1, 0], 0.6667), ([1] * 4, 0.0)]
)
def test_coefficient_of_variation_of_binary_scores(scores, expected):
    assert cv(scores, 1) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("scores", "ddof"), [([0, 0, 0], 1), ([0.5], 1), ([], 0), ([], 1)])
def test_coefficient_of_variation_undefined_is_null(scores, ddof):
    assert cv(scores, ddof) is None


def test_coefficient_of_variation_one_score_without_ddof_is_0():
    assert cv([0.5], 0) == 0


@pytest.mark.parametrize("scores", [[0.7, 0.7000001] * 2, [0.7000001, 0.7, 0.7, 0.7000001], [4.99, 4.9900001, 4.99]])
def test_coefficient_of_variation_of_nearly_equal_scores_keeps_its_digits(scores):
    assert cv(scores, 1) == pytest.approx(statistics.stdev(scores) / statistics.fmean(scores), rel=1e-8)


@pytest.mark.parametrize("scores", [[0.1] * 3, [4.99] * 7, [0.7000001] * 64])
def test_coefficient_of_variation_of_equal_scores_is_exactly_0(scores):
    assert cv(scores, 1) == 0


@given(st.permutations([0.1, 0.7, 0.7000001, 0.3, 0.99]), st.integers(1, 4))
def test_tally_in_parts_and_in_any_order_is_the_same(scores, cut):
    made = tally.ScoreTally(1)
    for part in (np.array(scores[:cut]), np.array(scores[cut:])):
        made.add(np.zeros(len(part), np.int32), part, part > 0.99)
    assert pl.DataFrame(made.columns(0)).equals(tallied(sorted(scores)).drop("category"))


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 5), min_size=2, max_size=8), st.floats(0.1, 10))
def test_coefficient_of_variation_does_not_depend_on_the_scale(scores, factor):
    assert cv([score * factor for score in scores], 1) == pytest.approx(cv(scores, 1), abs=1e-4)


def test_pass_rate_mean_score_is_over_the_scale():
    assert tallied([5, 4, 0, 1], "science").select(tally.pass_rate(0, "mean_score")).item() == 0.5


def test_pass_rate_counts_what_the_verdicts_say_passed():
    made = tally.ScoreTally(1)
    made.add(np.zeros(2, np.int32), np.array([0.6, 0.6]), np.array([True, False]))
    assert pl.DataFrame(made.columns(0)).select(tally.pass_rate(0, "indicator")).item() == 0.5


@settings(max_examples=60, deadline=None)
@given(SHARES, st.sampled_from(["math", "science", "other"]), st.sampled_from(["indicator", "mean_score"]), st.integers(0, 1))
def test_tally_and_formulas_agree_with_the_oracle(shares, category, kind, ddof):
    scores = [share * FACTS[category].scale for share in shares]
    rate, spread = tally.pass_rate(0, kind), tally.coefficient_of_variation(0, ddof)
    made = tallied(scores, category).with_columns(pass_rate=rate, cv=spread, n=pl.col("n_0"), mean_score=pl.col("mean_0"))
    low, high = tally.wilson_bounds(pl.col("pass_rate"), pl.col("n"))
    (row,) = made.with_columns(low=low, high=high, model=pl.lit("m")).to_dicts()
    expected = oracle.grade("m", scores, FACTS[category].pass_threshold, ddof, kind, FACTS[category].scale)
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_histogram_only_whole_rates_are_at_the_ends():
    found = tally.histogram(pl.Series("r", [0.0, 0.05, 0.2, 0.5, 0.95, 1.0]))
    assert found == {"0": 1, "0.25": 2, "0.5": 1, "0.75": 1, "1": 1}


@settings(deadline=None)
@given(st.lists(RATES, max_size=12))
def test_histogram_agrees_with_the_oracle(rates):
    assert tally.histogram(pl.Series("r", rates, pl.Float64)) == oracle.histogram([rate for rate in rates if rate is not None])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.sampled_from([0.0, 0.5, 1.0, None])), max_size=30), st.booleans())
def test_tally_of_several_questions_is_that_of_each_wherever_its_rows_stand(verdicts, sparse):
    made = tally.ScoreTally(201)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tally, "SPARSE", 0 if sparse else 1000)
        for rows_of_part in (verdicts[::2], verdicts[1::2]):
            questions, scores = ([row[at] for row in rows_of_part] for at in (0, 1))
            scores = np.array(scores, float)
            made.add(np.array(questions, np.int32), scores, scores > 0.99)
    found = pl.DataFrame(made.columns(0))
    for question in {question for question, _ in verdicts}:
        scores = [score for key, score in verdicts if key == question and score is not None]
        assert found.row(question) == pytest.approx(tallied(scores).drop("category").row(0))
    assert made.n_scores == sum(score is not None for _, score in verdicts)


def part(questions, models, scores, unknown=(), threshold=0.99):
    key = {"question": questions, "model": models, "sample": range(len(questions)), "row": range(len(questions))}
    scores = np.array(scores)
    values = {"verify_score": scores, "passed": scores > threshold, "threshold": np.full(len(scores), threshold)}
    return Part(**{name: np.array(column, np.int32) for name, column in key.items()}, values=values, unknown=unknown)


def test_tally_keeps_models_and_failures_of_the_verifier_apart():
    parts = [part([1, 1, 1], [0, 0, 1], [1.0, np.nan, 0.5], ["else"]), part([0], [1], [np.nan], ["else", "other"])]
    seen, stated = Seen(2), StatedThresholds(pl.Series(["math", "math"]))
    found, unknown = tally.tally_by_model(parts, 2, seen, stated)
    assert [found[model].n_scores for model in (0, 1)] == [1, 1]
    assert pl.DataFrame(found[1].columns(1)).rows() == [(0, None, None, 0), (1, 0.5, 0.0, 0)]
    assert unknown == {"else", "other"}
    assert not seen.has_duplicates
    assert stated.by_category == {"math": 0.99}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([testing.question(category="poetry")], "category 'poetry' is unknown; categories: math"),
        ([testing.question()] * 2, f"questions: duplicate question_id {testing.question().question_id}; pass one artifact"),
    ],
)
def test_question_table_bad_questions_are_refused(tmp_path, asked, message):
    tables.write(tmp_path, asked, Question)
    with pytest.raises(BadRows, match=message):
        tally.question_table(tmp_path)
