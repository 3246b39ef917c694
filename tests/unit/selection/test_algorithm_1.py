import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.grading import tally
from stillhouse.grading.config import scale
from stillhouse.selection import algorithm_1
from stillhouse.selection import config as selection
from stillhouse.selection.config import Limits, Rules, Scored

SHARES = st.lists(st.sampled_from([0.0, 0.3, 0.8, 0.992, 1.0]), min_size=1, max_size=5)
ASKED = st.lists(st.tuples(st.sampled_from(["math", "science", "other"]), SHARES), min_size=1, max_size=8)


def scored(asked):
    """Question -> category and its responses, of two models in turn."""
    return {
        f"q{number}": (category, [Scored("ab"[at % 2], at, share * scale(category)) for at, share in enumerate(shares)])
        for number, (category, shares) in enumerate(asked)
    }


def choose(questions, rules, discard_reason=None):
    names, (categories, made) = list(questions), zip(*questions.values(), strict=True)
    asked = pl.DataFrame({"question_id": names, "category": categories}).with_row_index("question")
    counted = tally.Tally(tally.limits(rules.pass_thresholds, asked))
    numbers = [(number, each.score) for number, responses in enumerate(made) for each in responses]
    counted.add(np.array([number for number, _ in numbers]), np.array([score for _, score in numbers]))
    return algorithm_1.choose(asked.with_columns(*counted.columns(0), discard_reason=pl.lit(discard_reason, pl.String)), rules)


@settings(max_examples=40, deadline=None)
@given(ASKED, st.integers(0, 3), st.integers(0, 1))
def test_choose_agrees_with_algorithm_1_question_by_question(asked, seed, ddof):
    rules, questions = Rules(seed=seed, ddof=ddof), scored(asked)
    found = {row["question_id"]: row for row in choose(questions, rules).to_dicts()}
    for name, (category, made) in questions.items():
        expected = selection.stage_1(name, category, made, rules)
        row = found[name]
        assert (row["reason"], row["challenging"]) == (expected.reason, expected.challenging)
        assert (row["cv"], row["pass_rate"]) == (pytest.approx(expected.cv, abs=1e-6), pytest.approx(expected.pass_rate))


@settings(max_examples=40, deadline=None)
@given(ASKED, st.integers(0, 3), st.sampled_from([None, 2]))
def test_annealing_agrees_with_the_pure_function(asked, seed, n_questions):
    rules, questions = Rules(seed=seed, anneal_questions=n_questions), scored(asked)
    made = {name: selection.stage_1(name, category, responses, rules) for name, (category, responses) in questions.items()}
    # Both from one CV: the last bits of sums, in which they may differ, decide between equals.
    expected = selection.annealing(made, rules)
    passing = [
        (name, choice.category, each.model, each.sample_index, each.score, choice.cv, choice.challenging)
        for name, choice in made.items() for each in choice.chosen
    ]  # fmt: skip
    names = ("question_id", "category", "model", "sample_index", "verify_score", "cv", "challenging")
    kinds = (pl.String, pl.String, pl.String, pl.Int32, pl.Float64, pl.Float64, pl.Boolean)
    frame = pl.DataFrame(passing, dict(zip(names, kinds, strict=True)), orient="row")
    found = algorithm_1.annealing(frame.with_columns(prompt_kind=pl.lit("question"), round=pl.lit(1, pl.Int32)), rules)
    assert [(row["question_id"], row["model"], row["sample_index"]) for row in found.to_dicts()] == [
        (name, choice.chosen[0].model, choice.chosen[0].sample_index) for name, choice in expected.items()
    ]
    assert found["rank"].to_list() == list(range(found.height))


def test_choose_discarded_questions_are_never_chosen():
    (row,) = choose(scored([("math", [1.0, 0.0])]), Rules(), "never_solved").to_dicts()
    assert (row["reason"], row["challenging"]) == ("never_solved", False)


def test_limited_takes_the_first_of_each_category_by_rank_and_then_of_all():
    frame = pl.DataFrame({"category": ["math", "math", "code", "math"], "rank": [4, 1, 3, 2]})
    capped = algorithm_1.limited(frame, Limits(caps={"math": 2}))
    assert sorted(capped["rank"]) == [1, 2, 3]
    assert algorithm_1.limited(frame, Limits(caps={"math": 1}, size=1))["rank"].to_list() == [1]


def test_sweep_counts_what_each_threshold_keeps():
    shares = [("math", [1.0, 0.0]), ("math", [1.0, 1.0, 0.0]), ("math", [1.0, 1.0]), ("math", [0.0, 0.0]), ("other", [1.0, 1.0])]
    questions = scored(shares)
    rules = Rules(ddof=0, easy_keep_probability=1)
    found = algorithm_1.sweep(choose(questions, rules), rules)
    kept = {(row["category"], row["cv_threshold"]): (row["n_questions"], row["n_responses"]) for row in found.to_dicts()}
    # The CVs of the first two are 1 and 0.71.
    assert [kept["math", threshold] for threshold in (0.0, 0.7, 0.75, 1.0)] == [(2, 3), (2, 3), (1, 1), (0, 0)]
    assert kept["other", 0.0] == kept["other", 1.0] == (1, 2)
    assert len(kept) == 2 * 21
