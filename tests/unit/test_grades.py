import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse import grades, grading, rows, testing
from stillhouse.errors import BadRows
from stillhouse.grading import PassThresholds
from stillhouse.rows import Question

SHARES = st.lists(
    st.one_of(st.sampled_from([0.0, 0.7, 0.99, 0.998, 1.0]), st.integers(0, 100).map(lambda n: n / 100)), min_size=1, max_size=6
)
RATES = st.sampled_from([None, 0.0, 0.25, 0.5, 0.75, 1.0])
ABOVE = [0.7, 0.99, 4.99]


def tally(*verdicts, models=("m",)):
    """``verdicts``: question, model, sample, score."""
    schema = {
        "question_id": pl.String,
        "model": pl.String,
        "round": pl.Int32,
        "sample_index": pl.Int32,
        "verify_score": pl.Float64,
    }
    rows = [(question, model, 1, sample, score) for question, model, sample, score in verdicts]
    frame = pl.DataFrame(rows, schema, orient="row").with_columns(prompt_kind=pl.lit("question"))
    return grades.tally(frame.lazy(), models, ABOVE)


@settings(max_examples=60, deadline=None)
@given(SHARES, st.sampled_from(["math", "science", "other"]), st.sampled_from(["indicator", "mean_score"]), st.integers(0, 1))
def test_tally_and_formulas_agree_with_the_pure_functions(shares, category, kind, ddof):
    scores = [share * grading.scale(category) for share in shares]
    found = tally(*(("q", "m", place, score) for place, score in enumerate(scores))).with_columns(category=pl.lit(category))
    rate = grades.pass_rate(0, PassThresholds(), ABOVE, kind)
    made = found.with_columns(
        pass_rate=rate, cv=grades.coefficient_of_variation(0, ddof), n=pl.col("n_0"), mean_score=pl.col("mean_0")
    )
    low, high = grades.wilson_interval(pl.col("pass_rate"), pl.col("n"))
    (row,) = made.with_columns(low=low, high=high, model=pl.lit("m")).to_dicts()
    expected = grading.grade("m", scores, getattr(PassThresholds(), category), ddof, kind, grading.scale(category))
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(RATES, RATES, RATES, st.booleans())
def test_level_agrees_with_the_pure_function(small, medium, reference, keep):
    rates = {"small": small, "medium": medium, "reference": reference}
    frame = pl.DataFrame([{**rates, "keep": keep}], {**dict.fromkeys(rates, pl.Float64), "keep": pl.Boolean})
    found = frame.select(grades.level(*(pl.col(role) for role in rates), pl.col("keep"))).item()
    assert found == grading.level(rates, keep)


@settings(deadline=None)
@given(st.lists(RATES, max_size=12))
def test_histogram_agrees_with_the_pure_function(rates):
    assert grades.histogram(pl.Series("r", rates, pl.Float64)) == grading.histogram([rate for rate in rates if rate is not None])


def test_tally_keeps_models_and_failures_of_the_verifier_apart():
    found = tally(("q", "a", 0, 1.0), ("q", "a", 1, None), ("q", "b", 0, 0.5), ("p", "b", 0, None), models=("a", "b"))
    by_question = {row["question_id"]: row for row in found.to_dicts()}
    assert [by_question["q"][name] for name in ("n_0", "mean_0", "n_1", "mean_1")] == [1, 1.0, 1, 0.5]
    assert [by_question["p"][name] for name in ("n_0", "n_1")] == [0, 0]


def test_tally_of_all_models_at_once_tells_their_samples_apart():
    (row,) = tally(("q", "a", 0, 1.0), ("q", "b", 0, 0.0), models=(None,)).to_dicts()
    assert (row["n_0"], row["mean_0"]) == (2, 0.5)


@pytest.mark.parametrize("models", [("a", "b"), (None,)])
def test_tally_two_verdicts_for_one_key_are_refused_with_the_key(models):
    with pytest.raises(BadRows, match="2 verdicts on response q/b/question/1/3"):
        tally(("q", "a", 3, 1.0), ("q", "b", 3, 1.0), ("q", "b", 3, 1.0), models=models)


def test_limits_are_the_different_thresholds_of_the_categories():
    frame = pl.DataFrame({"category": ["science", "math", "code"]})
    assert grades.limits(PassThresholds(), frame) == [0.99, 4.99]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([testing.question(category="poetry")], "category 'poetry' is unknown; categories: math"),
        ([testing.question()] * 2, "is there twice"),
    ],
)
def test_asked_bad_questions_are_refused(tmp_path, asked, message):
    rows.write(tmp_path, asked, Question)
    with pytest.raises(BadRows, match=message):
        grades.asked(tmp_path)
