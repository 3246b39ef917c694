import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse import testing
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.training.curriculum import OUTCOMES, order, plateaued, unsolved

IDS = {"math": [f"m{number}" for number in range(10)], "code": [f"c{number}" for number in range(4)]}


def test_order_without_weights_asks_all_before_any_twice():
    asked = order(IDS, None, 7, 4, seed=0)
    assert len(asked) == 28
    assert Counter(asked[:14]) == Counter([*IDS["math"], *IDS["code"]])
    assert asked[:14] != asked[14:]


def test_order_mix_holds_in_every_step_to_within_a_question():
    asked = order(IDS, {"math": 2.1, "code": 1}, 31, 20, seed=0)
    counts = [Counter(each[0] for each in asked[start : start + 31]) for start in range(0, len(asked), 31)]
    assert {count["m"] for count in counts} == {21}
    assert {count["c"] for count in counts} == {10}


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 20), st.floats(0.1, 10))
def test_order_mix_never_drifts_by_more_than_a_question(per_step, steps, weight):
    asked = order(IDS, {"math": weight, "code": 1}, per_step, steps, seed=1)
    assert len(asked) == per_step * steps
    for n in range(1, len(asked) + 1):
        assert abs(sum(each[0] == "m" for each in asked[:n]) - n * weight / (weight + 1)) <= 1


@settings(deadline=None)
@given(st.integers(3, 40), st.lists(st.floats(0.1, 3), min_size=2, max_size=4))
def test_order_mix_holds_in_every_step(per_step, weights):
    given = dict(zip(["math", "code", "science", "other"], weights, strict=False))
    asked = order({name: [name] for name in given}, given, per_step, 8, seed=0)
    for start in range(0, len(asked), per_step):
        counts = Counter(asked[start : start + per_step])
        off = [abs(counts[name] - per_step * weight / sum(weights)) for name, weight in given.items()]
        assert max(off) <= (1 if len(weights) == 2 else 2)


def test_order_mix_leaves_out_categories_without_weight_or_questions():
    assert {each[0] for each in order(IDS, {"math": 1, "science": 5}, 4, 3, seed=0)} == {"m"}


def test_order_mix_of_categories_that_are_not_there_says_so():
    with pytest.raises(NothingToDo, match="mix names science, and the split has none of them; it has math, code"):
        order(IDS, {"science": 1}, 4, 3, seed=0)


@given(st.lists(st.integers(1, 30), min_size=2, max_size=4), st.integers(1, 5), st.booleans())
def test_order_over_borders_is_that_of_one_stage(steps, per_step, mixed):
    """The same questions and seed, in several stages: each goes on where the one before stopped."""
    weights = {"math": 2.1, "code": 1} if mixed else None
    before = Counter()
    for each in steps:
        before.update(order(IDS, weights, per_step, each, 0, before))
    counts = [[before[each] for each in ids] for ids in (IDS.values() if mixed else [[*IDS["math"], *IDS["code"]]])]
    assert all(max(each) - min(each) <= 1 for each in counts)


@given(st.dictionaries(st.sampled_from(IDS["math"]), st.integers(0, 4)), st.integers(1, 60))
def test_order_asks_first_what_was_asked_least(before, steps):
    counts = Counter(before)
    for asked in order({"math": IDS["math"]}, None, 1, steps, 0, before):
        assert counts[asked] == min(counts[each] for each in IDS["math"])
        counts[asked] += 1


def test_order_of_a_second_stage_is_the_rest_of_the_first_ones():
    whole = order(IDS, None, 5, 12, seed=2)
    assert whole[:20] + order(IDS, None, 5, 8, 2, Counter(whole[:20])) == whole


def test_order_depends_on_the_seed_alone():
    assert order(IDS, None, 4, 5, seed=3) == order(IDS, None, 4, 5, seed=3) != order(IDS, None, 4, 5, seed=4)


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [
        ([0.1, 0.2, 0.3], False),  # not yet two windows
        ([0.1, 0.1, 0.4, 0.4], False),
        ([0.4, 0.4, 0.41, 0.41], True),
        ([0.4, 0.4, 0.2, 0.2], True),
        ([0.9, 0.9, 0.1, 0.1, 0.3, 0.3], False),  # only the last two windows count
    ],
)
def test_plateaued_compares_the_last_two_windows(rewards, expected):
    assert plateaued(rewards, window=2, least_gain=0.02) is expected


def test_unsolved_leaves_out_what_was_always_solved(tmp_path):
    asked = {question.question_id: question for question in testing.questions(4)}
    first, second, third, _ = asked
    (tmp_path / OUTCOMES).write_text(json.dumps({first: [8, 8], second: [8, 7], third: [0, 0]}))
    assert list(unsolved(asked, tmp_path)) == list(asked)[1:]


def test_unsolved_without_outcomes_or_questions_left_says_so(tmp_path):
    asked = {question.question_id: question for question in testing.questions(1)}
    with pytest.raises(BadConfig, match="drop_solved needs the outcomes.json of an rl stage"):
        unsolved(asked, tmp_path)
    (tmp_path / OUTCOMES).write_text(json.dumps({each: [4, 4] for each in asked}))
    with pytest.raises(NothingToDo, match="all 1 questions were always solved in the stage before"):
        unsolved(asked, tmp_path)
