from dataclasses import replace

import pytest

from stillhouse import testing
from stillhouse.screening.structure import structure_flaws, turns

ASKED = testing.question()
TURN = {"role": "user", "content": "x"}


@pytest.mark.parametrize(
    ("changes", "flaws"),
    [
        ({}, []), ({"think": None}, ["no_think"]), ({"think": "  "}, ["no_think"]), ({"answer": ""}, ["no_answer"]),
        ({"answer": None, "think": None}, ["no_think", "no_answer"]),
    ],
)  # fmt: skip
def test_structure_flaws_of_a_response(changes, flaws):
    assert structure_flaws(1, replace(testing.response(ASKED), **changes)) == flaws


@pytest.mark.parametrize(
    ("messages", "flaws"),
    [([TURN], []), ([TURN] * 3, []), ([TURN, TURN], ["odd_turns"]), ([{"role": "system", "content": "s"}, TURN], [])],
)
def test_structure_flaws_turns_are_even_without_the_system_message(messages, flaws):
    assert structure_flaws(turns(messages), testing.response(ASKED)) == flaws
