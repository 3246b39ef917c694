import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse import testing
from stillhouse.vocabulary import ids, rows
from stillhouse.vocabulary.rows import ROW_TYPES

ASKED = testing.question()


@pytest.mark.parametrize("name", ROW_TYPES)
def test_row_type_columns_are_the_dataclass_fields_in_order(name):
    assert ROW_TYPES[name].SCHEMA.names == [column.name for column in fields(ROW_TYPES[name])]
    assert set(ROW_TYPES[name].KEY) <= set(ROW_TYPES[name].SCHEMA.names)


def test_question_id_case_and_spaces_do_not_matter_the_reference_does():
    one = ids.question_id([{"role": "user", "content": "What  is\n1 + 1? "}], "2")
    assert one == ids.question_id([{"role": "user", "content": "what is 1 + 1?"}], "2")
    assert one != ids.question_id([{"role": "user", "content": "what is 1 + 1?"}], "3")


@given(st.lists(st.text(), min_size=1, max_size=3), st.lists(st.text(), min_size=1, max_size=3))
def test_content_id_equal_only_for_equal_texts(a, b):
    assert (ids.content_id(*a) == ids.content_id(*b)) == (a == b)


@given(st.text())
def test_normalise_twice_is_once(text):
    once = ids.normalise(text)
    assert ids.normalise(once) == once


def test_dropped_keeps_key_reason_and_the_row_itself():
    answered = replace(testing.response(ASKED), sample_index=3)
    made = rows.dropped(answered, "repetition", "ha ha")
    assert (made.key, made.reason, made.detail) == (f"{ASKED.question_id}/toy/question/1/3", "repetition", "ha ha")
    assert json.loads(made.row)["text"] == answered.text
