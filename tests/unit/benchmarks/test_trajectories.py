from dataclasses import replace

import pytest

from stillhouse import testing
from stillhouse.benchmarks.evaluation import Evaluation
from stillhouse.benchmarks.trajectories import round_step, words

ASKED = testing.questions(2)


def evaluation(*chains):
    """Chains of one question, each a list of (passed, tokens, text) by round."""
    base = testing.response(ASKED[0])
    responses, verified = [], []
    for index, rounds in enumerate(chains):
        for number, (passed, tokens, text) in enumerate(rounds, start=1):
            row = replace(base, sample_index=index, round=number, completion_tokens=tokens, text=text)
            responses.append(row)
            verified.append(replace(testing.verified(row), passed=passed))
    return Evaluation(ASKED[:1], responses, verified)


def test_words_are_whole_and_of_any_case():
    found = words("But wait: maybe the butter waits. Wait, therefore THEREFORE! <answer>but</answer>")
    assert found == {"but": 2, "wait": 2, "maybe": 1, "therefore": 2}


def test_step_flips_count_chains_both_of_whose_rounds_were_verified():
    passed = [(True, False), (False, True), (False, True), (True, True), (None, True), (True, None)]
    made = round_step(evaluation(*([(first, 1, ""), (second, 1, "")] for first, second in passed)), 2)
    assert (made.wrong_to_correct, made.correct_to_wrong) == (2, 1)
    assert {group.name: group.chains for group in made.groups} == {"all": 4, "C-C": 1, "C-I": 1, "I-C": 2}


def test_step_groups_have_means_of_tokens_and_words_before_and_after():
    made = round_step(
        evaluation(
            [(True, 10, "wait wait"), (False, 30, "wait")],
            [(False, 20, "but"), (True, 8, "therefore")],
            [(False, 40, "but but but"), (True, 12, "")],
        ),
        2,
    )
    groups = {group.name: group for group in made.groups}
    assert groups["all"].tokens == pytest.approx((70 / 3, 50 / 3))
    assert groups["C-I"].tokens == (10, 30)
    assert groups["I-C"].tokens == (30, 10)
    assert groups["C-I"].words == {"but": (0, 0), "wait": (2, 1), "maybe": (0, 0), "therefore": (0, 0)}
    assert groups["I-C"].words == {"but": (2, 0), "wait": (0, 0), "maybe": (0, 0), "therefore": (0, 0.5)}


def test_step_tokens_to_a_point_are_what_the_round_cost_over_what_it_gained():
    made = round_step(evaluation([(True, 99, ""), (True, 10, "")], [(False, 99, ""), (True, 30, "")]), 2)
    assert made.gain.mean == 0.5
    assert made.tokens == 20
    assert made.tokens_per_point == pytest.approx(20 / 50)


def test_step_without_a_gain_has_no_price_of_a_point():
    made = round_step(evaluation([(True, 9, ""), (False, 9, "")]), 2)
    assert made.gain.mean == -1
    assert made.tokens_per_point is None


def test_step_of_rounds_that_were_not_verified_is_none():
    assert round_step(evaluation([(True, 9, ""), (None, 9, "")]), 2) is None


def test_step_third_round_is_measured_against_the_second():
    made = round_step(evaluation([(True, 1, ""), (False, 2, ""), (True, 3, "")]), 3)
    assert [group.name for group in made.groups] == ["all", "I-C"]
    assert made.groups[0].tokens == (2, 3)
