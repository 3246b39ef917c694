import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.grading import tally
from stillhouse.selection import algorithm_1
from stillhouse.selection.config import AlgorithmRules
from stillhouse.selection.context import Context
from stillhouse.vocabulary.categories import FACTS, PASS_THRESHOLDS
from tests.oracles import selection as oracle
from tests.oracles.selection import Scored

SHARES = st.lists(st.sampled_from([0.0, 0.3, 0.8, 0.992, 1.0]), min_size=1, max_size=5)
ASKED = st.lists(st.tuples(st.sampled_from(["math", "science", "other"]), SHARES), min_size=1, max_size=8)


def scored(asked):
    """Question -> category and its responses, of two models in turn."""
    return {
        f"q{number}": (category, [Scored("ab"[at % 2], at, share * FACTS[category].scale) for at, share in enumerate(shares)])
        for number, (category, shares) in enumerate(asked)
    }


def choose(questions, discard_reason=None, **rules):
    """Algorithm 1 on questions, given as ``scored`` makes them."""
    names, (categories, made) = list(questions), zip(*questions.values(), strict=True)
    asked = pl.DataFrame({"question_id": names, "category": categories}).with_row_index("question")
    numbers = [
        (number, response.score, response.score > PASS_THRESHOLDS[category])
        for number, (category, responses) in enumerate(zip(categories, made, strict=True)) for response in responses
    ]  # fmt: skip
    counted = tally.ScoreTally(len(names))
    counted.add(*(np.array(column) for column in zip(*numbers, strict=True)))
    tallied = asked.with_columns(*counted.columns(0), discard_reason=pl.lit(discard_reason, pl.String))
    return algorithm_1.choose(tallied, Context(AlgorithmRules(**rules)))


def outcome(category, *scores, **rules):
    """Reason, challenging and number of passing responses of one question with these scores."""
    question = {"q": (category, [Scored("m", at, score) for at, score in enumerate(scores)])}
    (row,) = choose(question, **rules).to_dicts()
    return row["reason"], row["challenging"], row["n_passed"]


@pytest.mark.parametrize(
    ("category", "scores", "expected"),
    [
        ("math", (1, 0, 1, 1), (None, True, 3)), ("math", (0, 0, 0, 0), ("below_threshold", False, 0)),
        ("math", (1, 1, 1, 1), ("easy", False, 4)), ("math", (1,), ("cv_undefined", False, 1)),
        ("code", (0.99, 0.5), ("below_threshold", False, 0)), ("science", (5, 4.99, 1), (None, True, 1)),
        ("science", (4.99, 1), ("below_threshold", False, 0)), ("other", (0.9, 0.3, 0.71), (None, True, 2)),
    ],
)  # fmt: skip
def test_choose_by_category(category, scores, expected):
    assert outcome(category, *scores) == expected


def test_choose_easy_questions_without_references_stay_half_the_time():
    easy = scored([("other", [0.9, 0.9])] * 400)
    assert 150 < choose(easy)["reason"].null_count() < 250
    assert choose(easy, easy_keep_probability=0)["reason"].to_list() == ["easy"] * 400


@settings(max_examples=40, deadline=None)
@given(ASKED, st.integers(0, 3), st.integers(0, 1))
def test_choose_agrees_with_the_oracle_question_by_question(asked, seed, ddof):
    rules, questions = {"seed": seed, "ddof": ddof}, scored(asked)
    found = {row["question_id"]: row for row in choose(questions, **rules).to_dicts()}
    for name, (category, made) in questions.items():
        expected = oracle.stage_1(name, category, made, AlgorithmRules(**rules), PASS_THRESHOLDS[category])
        row = found[name]
        assert (row["reason"], row["challenging"]) == (expected.reason, expected.challenging)
        assert bool(expected.chosen) == (row["reason"] is None)
        assert (row["cv"], row["pass_rate"]) == (pytest.approx(expected.cv, abs=1e-6), pytest.approx(expected.pass_rate))


def passing(choices):
    """The oracle's chosen responses as the frame that annealing takes."""
    rows = [
        (name, choice.category, response.model, response.sample_index, response.score, choice.cv, choice.challenging)
        for name, choice in choices.items() for response in choice.chosen
    ]  # fmt: skip
    names = ("question_id", "category", "model", "sample_index", "verify_score", "cv", "challenging")
    kinds = (pl.String, pl.String, pl.String, pl.Int32, pl.Float64, pl.Float64, pl.Boolean)
    frame = pl.DataFrame(rows, dict(zip(names, kinds, strict=True)), orient="row")
    return frame.with_columns(prompt_kind=pl.lit("question"), round=pl.lit(1, pl.Int32))


def annealed(choices, **rules):
    found = algorithm_1.annealing(passing(choices), Context(AlgorithmRules(**rules)))
    assert found["rank"].to_list() == list(range(found.height))
    return list(found.select("question_id", "model", "sample_index").iter_rows())


def stage_1(name, category, *scores):
    responses = [Scored("m", at, score) for at, score in enumerate(scores)]
    return oracle.stage_1(name, category, responses, AlgorithmRules(), PASS_THRESHOLDS[category])


@settings(max_examples=40, deadline=None)
@given(ASKED, st.integers(0, 3), st.sampled_from([None, 2]))
def test_annealing_agrees_with_the_oracle(asked, seed, n_questions):
    rules = {"seed": seed, "anneal_questions": n_questions}
    choices = {
        name: oracle.stage_1(name, category, responses, AlgorithmRules(**rules), PASS_THRESHOLDS[category])
        for name, (category, responses) in scored(asked).items()
    }
    # Both from one CV: the last bits of sums, in which they may differ, decide between equals.
    expected = oracle.annealing(choices, AlgorithmRules(**rules))
    assert annealed(choices, **rules) == [
        (name, choice.chosen[0].model, choice.chosen[0].sample_index) for name, choice in expected.items()
    ]


def test_annealing_takes_the_highest_cv_first_and_one_passing_response_each():
    scores = {"hard": (1, 0, 0, 0), "medium": (1, 1, 0, 0), "soft": (1, 1, 1, 0), "easy": (1, 1)}
    found = annealed({name: stage_1(name, "math", *values) for name, values in scores.items()}, anneal_questions=2)
    assert [name for name, _, _ in found] == ["hard", "medium"]
    assert found[0][2] == 0
    assert found[1][2] in (0, 1)


def test_annealing_science_threshold_is_on_the_normalised_score():
    assert annealed({"q": stage_1("q", "science", 5, 0)}) == [("q", "m", 0)]


def test_annealing_easy_question_that_was_kept_is_left_out():
    kept = {name: choice for name in map(str, range(20)) if (choice := stage_1(name, "other", 1, 1)).reason is None}
    assert kept
    assert annealed(kept) == []


def test_annealing_ties_do_not_depend_on_the_order_of_questions():
    choices = {f"q{number}": stage_1(f"q{number}", "math", 1, 0) for number in range(30)}
    found = annealed(choices, anneal_questions=5)
    assert found == annealed(dict(reversed(choices.items())), anneal_questions=5)
    assert [name for name, _, _ in found] != list(choices)[:5]
    assert found != annealed(choices, anneal_questions=5, seed=1)


def test_choose_discarded_questions_are_never_chosen():
    (row,) = choose(scored([("math", [1.0, 0.0])]), "never_solved").to_dicts()
    assert (row["reason"], row["challenging"]) == ("never_solved", False)


def test_sweep_counts_what_each_threshold_keeps():
    shares = [("math", [1.0, 0.0]), ("math", [1.0, 1.0, 0.0]), ("math", [1.0, 1.0]), ("math", [0.0, 0.0]), ("other", [1.0, 1.0])]
    found = algorithm_1.sweep(choose(scored(shares), ddof=0, easy_keep_probability=1))
    kept = {(row["category"], row["cv_threshold"]): (row["n_questions"], row["n_responses"]) for row in found.to_dicts()}
    # The CVs of the first two are 1 and 0.71.
    assert [kept["math", threshold] for threshold in (0.0, 0.7, 0.75, 1.0)] == [(2, 3), (2, 3), (1, 1), (0, 0)]
    assert kept["other", 0.0] == kept["other", 1.0] == (1, 2)
    assert len(kept) == 2 * 21
