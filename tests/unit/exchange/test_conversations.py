import pytest
from pydantic import ValidationError

from stillhouse.exchange import conversations
from stillhouse.exchange.record import Record, Unfit

ASKED = {"source": "s", "category": "instruction follow", "ground_truth": None, "test_case": None, "instruction_constrain": "{}"}
SAID = {"think_content": "so", "answer_content": "2", "verify_score": 0.95, "model_name": "AM-Thinking-v1", "ppl": 1.5}
TEXT = "<think>so</think><answer>2</answer>"


def row(*turns, system=None):
    return {"system": system, "conversations": [{"from": speaker, "value": value, "info": info} for speaker, value, info in turns]}


def test_conversations_every_column_finds_its_field():
    made = conversations.decode(
        row(("human", "a", None), ("assistant", "b", None), ("human", "c", ASKED), ("assistant", TEXT, SAID))
    )
    assert made == Record(
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}],
        "instruction_following", "s", constraints="{}", text=TEXT, think="so", answer="2", model="AM-Thinking-v1",
        verify_score=0.95, perplexity=1.5,
    )  # fmt: skip


def test_conversations_info_of_an_earlier_turn_counts_where_the_last_has_none():
    made = conversations.decode(row(("human", "a", ASKED), ("assistant", "b", None), ("human", "c", {"source": "t"})))
    assert (made.source, made.category, made.text) == ("t", "instruction_following", None)


@pytest.mark.parametrize("content", ["be brief", ""])
def test_conversations_system_message_comes_back_as_it_was(content):
    messages = [{"role": "system", "content": content}, {"role": "user", "content": "q"}]
    encoded = conversations.encode(Record(messages, "math"))
    assert encoded["system"] == (content or None)
    assert conversations.decode(encoded).messages == messages


def test_conversations_system_message_alone_is_the_question():
    messages = [{"role": "system", "content": "q"}]
    assert conversations.decode(conversations.encode(Record(messages, "math"))).messages == messages


def test_conversations_unknown_columns_are_named_at_every_level():
    made = conversations.decode({**row(("human", "a", {**ASKED, "x": 1})), "y": 2})
    assert sorted(made.ignored) == ["conversations.info.x", "y"]


def test_conversations_fields_without_a_place_are_those_declared_lost():
    made = Record(
        [{"role": "user", "content": "q"}], "science", "s", "4", "{}", '{"instruction_id_list": []}', {"m": 0.5}, "t", None, "t",
        "m", "id", 4.0, 2.0, "MIT", "en", "hard", "o",
    )  # fmt: skip
    back = conversations.decode(conversations.encode(made))
    assert {name for name in Record.__slots__ if getattr(back, name) != getattr(made, name)} == set(conversations.LOST)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (row(("assistant", "x", SAID)), Unfit), (row(("human", "x", None)), Unfit), (row(("robot", "x", ASKED)), Unfit),
        ({"conversations": []}, ValidationError), ({"system": 1, "conversations": []}, ValidationError), ({}, ValidationError),
    ],
)  # fmt: skip
def test_conversations_wrong_row_is_refused(given, error):
    with pytest.raises(error):
        conversations.decode(given)
