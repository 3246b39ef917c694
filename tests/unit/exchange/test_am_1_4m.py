import json

import pytest

from stillhouse.exchange import am_1_4m
from stillhouse.exchange.record import Record, Unfit

ASKED = {"source": "KodCode", "reference_answer": None, "test_case": None, "think_content": None, "answer_content": None}
SAID = {**ASKED, "source": "am-0309", "think_content": "so\n", "answer_content": "2"}
TEXT = "<think>\nso\n</think>\n<answer>2</answer>"


def row(**info):
    return {
        "messages": [
            {"role": "user", "content": "1+1?", "info": ASKED | info}, {"role": "assistant", "content": TEXT, "info": SAID},
        ]
    }  # fmt: skip


def test_am_1_4m_every_column_finds_its_field_and_the_parts_stay_as_given():
    assert am_1_4m.decode(row(reference_answer="2")) == Record(
        [{"role": "user", "content": "1+1?"}], "math", "KodCode", "2", text=TEXT, think="so\n", answer="2", model="am-0309"
    )


def test_am_1_4m_parts_are_parsed_where_the_row_does_not_have_them():
    bare = {"messages": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": TEXT}]}
    made = am_1_4m.decode(bare)
    assert (made.think, made.answer, made.model, made.category) == ("so", "2", "unknown", "other")


@pytest.mark.parametrize(
    ("info", "category"),
    [({"test_case": "assert f()"}, "code"), ({"reference_answer": "x"}, "math"), ({}, "other")],
)
def test_am_1_4m_category_is_told_by_tests_and_reference_unless_the_caller_says(info, category):
    assert am_1_4m.decode(row(**info)).category == category
    assert am_1_4m.decode(row(**info), "science").category == "science"


def test_am_1_4m_several_turns_without_reference_are_multi_turn():
    turns = [{"role": role, "content": role} for role in ("user", "assistant", "user", "assistant")]
    made = am_1_4m.decode({"messages": turns})
    assert (made.category, len(made.messages), made.text) == ("multi_turn", 3, "assistant")


@pytest.mark.parametrize(
    "given",
    [{"test_code": "assert f(1)", "test_entry_point": "f"}, json.dumps({"test_code": "assert f(1)", "test_entry_point": "f"})],
)
def test_am_1_4m_tests_become_an_assertion_in_our_form(given):
    assert json.loads(am_1_4m.decode(row(test_case=given)).test_cases) == {
        "call_type": "assert", "fn_name": "f", "inputs": [], "outputs": [], "assert_case": ["assert f(1)"], "language": "python",
    }  # fmt: skip


@pytest.mark.parametrize("given", [None, {"test_code": None, "test_entry_point": None}])
def test_am_1_4m_tests_that_say_nothing_are_none(given):
    assert am_1_4m.decode(row(test_case=given)).test_cases is None


@pytest.mark.parametrize(
    "cases",
    [
        {"call_type": "std", "fn_name": None, "inputs": ["1"], "outputs": ["2"], "assert_case": [], "language": "cpp"},
        {"call_type": "assert", "fn_name": "f", "inputs": [], "outputs": [], "assert_case": ["a", "b"], "language": "python"},
        {"call_type": "assert", "fn_name": "f", "inputs": [], "outputs": [], "assert_case": ["a"], "language": "python"},
        {"call_type": "assert", "assert_case": "no list"},
    ],
)
def test_am_1_4m_tests_of_ours_of_any_kind_survive(cases):
    made = Record([{"role": "user", "content": "q"}], "code", test_cases=json.dumps(cases))
    encoded = am_1_4m.encode(made)
    assert set(encoded["messages"][0]["info"]["test_case"]) == {"test_code", "test_entry_point"}
    assert am_1_4m.decode(encoded).test_cases == made.test_cases


def test_am_1_4m_fields_without_a_place_are_those_declared_lost():
    made = Record(
        [{"role": "user", "content": "q"}], "science", "s", "4", None, '{"instruction_id_list": []}', {"m": 0.5}, "t", None, "t",
        "m", "id", 4.0, 2.0, "MIT", "en", "hard", "o",
    )  # fmt: skip
    back = am_1_4m.decode(am_1_4m.encode(made))
    assert {name for name in Record.__slots__ if getattr(back, name) != getattr(made, name)} == set(am_1_4m.LOST)


@pytest.mark.parametrize("messages", [[{"role": "assistant", "content": "x"}], [{"role": "robot", "content": "x"}]])
def test_am_1_4m_conversation_without_a_question_is_refused(messages):
    with pytest.raises(Unfit):
        am_1_4m.decode({"messages": messages})
