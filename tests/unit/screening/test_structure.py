import pytest

from stillhouse import testing
from stillhouse.screening.structure import structure_flaw

ASKED = testing.question()
TURN = {"role": "user", "content": "x"}


@pytest.mark.parametrize(
    ("changes", "flaw"),
    [({}, None), ({"think": None}, "no_think"), ({"think": "  "}, "no_think"), ({"answer": ""}, "no_answer")],
)
def test_structure_flaw_of_a_response(changes, flaw):
    given = testing.response(ASKED, **{key: value for key, value in changes.items() if key != "answer"})
    if "answer" in changes:
        from dataclasses import replace

        given = replace(given, answer=changes["answer"])
    assert structure_flaw(ASKED, given, require_think=True) == flaw


def test_structure_flaw_thinking_may_be_left_out_where_config_says_so():
    assert structure_flaw(ASKED, testing.response(ASKED, think=None), require_think=False) is None


@pytest.mark.parametrize(
    ("messages", "flaw"),
    [([TURN], None), ([TURN, TURN], "odd_turns"), ([{"role": "system", "content": "s"}, TURN], None)],
)
def test_structure_flaw_turns_are_even_without_the_system_message(messages, flaw):
    assert structure_flaw(testing.question(messages=messages), testing.response(ASKED), require_think=True) == flaw
