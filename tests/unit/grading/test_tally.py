import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.errors import BadRows
from stillhouse.grading import config, tally
from stillhouse.grading.config import PassThresholds
from stillhouse.grading.keys import Part, Seen
from stillhouse.vocabulary.rows import Question

SHARES = st.lists(
    st.one_of(st.sampled_from([0.0, 0.7, 0.99, 0.998, 1.0]), st.integers(0, 100).map(lambda n: n / 100)), min_size=1, max_size=6
)
RATES = st.sampled_from([None, 0.0, 0.25, 0.5, 0.75, 1.0])


def tallied(scores, category="math"):
    """One question's scores, summed up."""
    made = tally.Tally(np.array([getattr(PassThresholds(), category)]))
    made.add(np.zeros(len(scores), np.int32), np.array(scores, float))
    return pl.DataFrame(made.columns(0)).with_columns(category=pl.lit(category))


@settings(max_examples=60, deadline=None)
@given(SHARES, st.sampled_from(["math", "science", "other"]), st.sampled_from(["indicator", "mean_score"]), st.integers(0, 1))
def test_tally_and_formulas_agree_with_the_pure_functions(shares, category, kind, ddof):
    scores = [share * config.scale(category) for share in shares]
    rate, spread = tally.pass_rate(0, kind), tally.coefficient_of_variation(0, ddof)
    made = tallied(scores, category).with_columns(pass_rate=rate, cv=spread, n=pl.col("n_0"), mean_score=pl.col("mean_0"))
    low, high = tally.wilson_interval(pl.col("pass_rate"), pl.col("n"))
    (row,) = made.with_columns(low=low, high=high, model=pl.lit("m")).to_dicts()
    expected = config.grade("m", scores, getattr(PassThresholds(), category), ddof, kind, config.scale(category))
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(RATES, RATES, RATES, st.booleans())
def test_level_agrees_with_the_pure_function(small, medium, reference, keep):
    rates = {"small": small, "medium": medium, "reference": reference}
    frame = pl.DataFrame([{**rates, "keep": keep}], {**dict.fromkeys(rates, pl.Float64), "keep": pl.Boolean})
    found = frame.select(tally.level(*(pl.col(role) for role in rates), pl.col("keep"))).item()
    assert found == config.level(rates, keep)


@settings(deadline=None)
@given(st.lists(RATES, max_size=12))
def test_histogram_agrees_with_the_pure_function(rates):
    assert tally.histogram(pl.Series("r", rates, pl.Float64)) == config.histogram([rate for rate in rates if rate is not None])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.sampled_from([0.0, 0.5, 1.0, None])), max_size=30), st.booleans())
def test_tally_of_several_questions_is_that_of_each_wherever_its_rows_stand(given_rows, sparse):
    made = tally.Tally(np.full(201, 0.99))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tally, "SPARSE", 0 if sparse else 1000)
        for rows_of_part in (given_rows[::2], given_rows[1::2]):
            questions, scores = ([row[at] for row in rows_of_part] for at in (0, 1))
            made.add(np.array(questions, np.int32), np.array(scores, float))
    found = pl.DataFrame(made.columns(0))
    for question in {question for question, _ in given_rows}:
        scores = [score for each, score in given_rows if each == question and score is not None]
        assert found.row(question) == pytest.approx(tallied(scores).drop("category").row(0))
    assert made.n_scores == sum(score is not None for _, score in given_rows)


def part(questions, models, scores, unknown=()):
    columns = {"question": questions, "model": models, "sample": range(len(questions)), "place": range(len(questions))}
    return Part(**{name: np.array(column, np.int32) for name, column in columns.items()}, value=np.array(scores), unknown=unknown)


def test_tally_keeps_models_and_failures_of_the_verifier_apart():
    parts = [part([1, 1, 1], [0, 0, 1], [1.0, np.nan, 0.5], ["else"]), part([0], [1], [np.nan], ["else", "other"])]
    seen = Seen(2)
    found, unknown = tally.tally(parts, seen, np.array([0.99, 0.99]))
    assert [found[model].n_scores for model in (0, 1)] == [1, 1]
    assert pl.DataFrame(found[1].columns(1)).rows() == [(0, None, None, 0), (1, 0.5, 0.0, 0)]
    assert unknown == {"else", "other"}
    assert not seen.has_duplicates


def test_limits_are_every_question_s_threshold():
    frame = pl.DataFrame({"category": ["science", "math", "other"]})
    assert tally.limits(PassThresholds(), frame).tolist() == [4.99, 0.99, 0.7]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([testing.question(category="poetry")], "category 'poetry' is unknown; categories: math"),
        ([testing.question()] * 2, "is there twice"),
    ],
)
def test_asked_bad_questions_are_refused(tmp_path, asked, message):
    tables.write(tmp_path, asked, Question)
    with pytest.raises(BadRows, match=message):
        tally.asked(tmp_path)
