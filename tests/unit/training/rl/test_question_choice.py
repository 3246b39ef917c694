import json
from collections import Counter

import pytest

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.errors import NothingToDo
from stillhouse.training.rl.config import ActiveSampling
from stillhouse.training.rl.curriculum import OUTCOMES, endless, order, pass_rates
from stillhouse.training.rl.question_choice import ByPassRate, InOrder
from stillhouse.vocabulary.rows import Graded

IDS = {"math": [f"m{number}" for number in range(20)], "code": [f"c{number}" for number in range(10)]}
MIX = {"math": 3, "code": 1}


def in_order(mix=None):
    return InOrder(lambda: endless(IDS, mix, 0, {}))


def by_pass_rate(mix=None, rates=None, **settings):
    return ByPassRate(IDS, mix, ActiveSampling(**settings), 4, 0, rates or {})


def test_in_order_is_the_curriculum_whatever_the_size_of_its_takes():
    chooser = in_order(MIX)
    assert chooser.take(5, {}) + chooser.take(1, {}) + chooser.take(30, {}) == order(IDS, MIX, 6, 6, 0)
    assert chooser.times_asked == Counter(order(IDS, MIX, 6, 6, 0))


def solved_by_number(chooser, n_takes):
    """The ids of each take, if even questions are always solved and the others half the time."""
    outcomes, takes = {}, []
    for _ in range(n_takes):
        takes.append(chooser.take(8, outcomes))
        for question_id in takes[-1]:
            n, n_passed = outcomes.get(question_id, (0, 0))
            outcomes[question_id] = [n + 4, n_passed + (2 if int(question_id[1:]) % 2 else 4)]
    return takes, outcomes


@pytest.mark.parametrize("make", [in_order, by_pass_rate])
@pytest.mark.parametrize("mix", [None, MIX])
def test_chooser_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(make, mix):
    chooser = make(mix)
    _, outcomes = solved_by_number(chooser, 5)
    remembered = json.loads(json.dumps(chooser.remember()))
    resumed = make(mix)
    resumed.recall(remembered)
    for _ in range(3):
        assert resumed.take(7, outcomes) == chooser.take(7, outcomes)
    assert resumed.times_asked == chooser.times_asked


def test_by_pass_rate_turns_to_questions_whose_rollouts_differ():
    takes, _ = solved_by_number(by_pass_rate(exploration=0.01, prior_rollouts=0.1), 40)
    late = Counter(int(question_id[1:]) % 2 for take in takes[20:] for question_id in take)
    assert late[1] > 3 * late[0]


def test_by_pass_rate_with_exploration_1_asks_without_regard_to_outcomes():
    takes, _ = solved_by_number(by_pass_rate(exploration=1), 40)
    late = Counter(int(question_id[1:]) % 2 for take in takes[20:] for question_id in take)
    assert 0.7 < late[1] / late[0] < 1.4


def test_by_pass_rate_begins_with_what_is_known_before():
    rates = {question_id: 1.0 for ids in IDS.values() for question_id in ids} | {"m3": 0.5, "c7": 0.4}
    chooser = by_pass_rate(rates=rates, exploration=0)
    assert set(chooser.take(2, {})) == {"m3", "c7"}
    assert chooser.chance("m3") == pytest.approx(1 - 2 * 0.5**4)
    assert chooser.chance("m0") == 0


def test_by_pass_rate_forgets_as_the_model_changes():
    chooser = by_pass_rate(memory=0.5, prior_rollouts=1e-9)
    chooser.take(1, {"m0": [4, 0]})
    assert chooser.chance("m0") == pytest.approx(0, abs=1e-6)
    chooser.take(1, {"m0": [8, 4]})
    rate = 4 / 6
    assert chooser.chance("m0") == pytest.approx(1 - rate**4 - (1 - rate) ** 4)


def test_by_pass_rate_keeps_the_mix_and_asks_none_twice_in_a_take():
    chooser = by_pass_rate(MIX)
    for _ in range(10):
        take = chooser.take(8, {})
        assert len(set(take)) == 8
        assert sum(question_id[0] == "m" for question_id in take) == 6


def test_by_pass_rate_asks_others_than_the_step_has_asked_while_there_are_others():
    chooser = by_pass_rate()
    asked = chooser.take(20, {})
    assert not set(asked) & set(chooser.take(10, {}, asked))
    assert len(chooser.take(70, {}, asked)) == 70


def test_by_pass_rate_of_a_mix_that_the_split_has_nothing_of_says_so():
    with pytest.raises(NothingToDo, match="mix names science, and the split has none of them"):
        by_pass_rate({"science": 1})


def test_pass_rates_are_those_of_the_stage_before_or_of_the_graded_models(tmp_path):
    first, second, third = testing.questions(3)
    tables.write(tmp_path / "graded", [testing.graded(question, 0.25) for question in (first, second)], Graded)
    (tmp_path / OUTCOMES).write_text(json.dumps({first.question_id: [8, 2], third.question_id: [0, 0], "elsewhere": [4, 4]}))
    questions = {question.question_id: question for question in (first, second, third)}
    rates = pass_rates(questions, tmp_path / "graded", tmp_path)
    assert rates == {first.question_id: 0.25, second.question_id: 0.25}
    (tmp_path / OUTCOMES).write_text(json.dumps({first.question_id: [8, 6]}))
    assert pass_rates(questions, tmp_path / "graded", tmp_path)[first.question_id] == 0.75
    assert pass_rates(questions, None, tmp_path / "nowhere") == {}
