import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse import testing
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.training.rl.curriculum import ASKED, OUTCOMES, asked_before, order, plateaued, unsolved

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


def test_order_depends_on_the_seed_alone():
    assert order(IDS, None, 4, 5, seed=3) == order(IDS, None, 4, 5, seed=3) != order(IDS, None, 4, 5, seed=4)


LEGS = st.lists(st.integers(1, 8), min_size=2, max_size=4)
MIXES = st.sampled_from([None, {"math": 2.1, "code": 1}])


@settings(deadline=None)
@given(LEGS, st.integers(1, 6), st.integers(0, 5))
def test_order_of_several_stages_is_that_of_one_that_never_stopped(legs, per_step, seed):
    before, made = Counter(), []
    for steps in legs:
        asked = order(IDS, None, per_step, steps, seed, before)
        before.update(asked)
        made += asked
    assert made == order(IDS, None, per_step, sum(legs), seed)


@settings(deadline=None)
@given(LEGS, MIXES, st.integers(1, 6), st.integers(0, 5), st.sets(st.sampled_from(IDS["math"]), max_size=9))
def test_order_asks_no_question_of_a_category_again_before_all_others_of_it(legs, mix, per_step, seed, solved):
    before, left = Counter(), {"math": [each for each in IDS["math"] if each not in solved], "code": IDS["code"]}
    for place, steps in enumerate(legs):
        ids = IDS if place == 0 else left  # the later stages leave out what the first solved
        for each in order(ids, mix, per_step, steps, seed, before):
            category = next(name for name, every in ids.items() if each in every)
            assert before[each] == min(before[other] for other in ids[category])
            before[each] += 1


def test_order_begins_with_what_was_asked_least_however_uneven_the_counts():
    before = {"m0": 7, "m1": 2, "elsewhere": 1}
    asked = order({"math": ["m0", "m1", "m2"]}, None, 1, 9, 0, before)
    assert Counter(asked[:2]) == Counter({"m2": 2})
    assert sorted((Counter(before) + Counter(asked))[each] for each in ("m1", "m2")) == [5, 6]
    assert "m0" not in asked


def test_asked_before_of_a_checkpoint_that_no_rl_stage_made_is_nothing(tmp_path):
    assert asked_before(tmp_path) == {}
    (tmp_path / ASKED).write_text('{"q": 3}')
    assert asked_before(tmp_path) == {"q": 3}


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
