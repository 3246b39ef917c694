import json
from dataclasses import fields, replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.errors import BadRows, MissingInput
from stillhouse.vocabulary import ids, rows
from stillhouse.vocabulary.rows import ROW_TYPES, Question, Verified

ASKED = testing.question()
TOYS = {
    "questions": ASKED, "responses": testing.response(ASKED), "verified": testing.verified(testing.response(ASKED)),
    "screened": testing.screened(testing.response(ASKED), kept=False), "graded": testing.graded(ASKED),
    "selected": testing.selected(ASKED),
}  # fmt: skip


@pytest.mark.parametrize("name", ROW_TYPES)
def test_row_type_columns_are_the_dataclass_fields_in_order(name):
    assert ROW_TYPES[name].SCHEMA.names == [column.name for column in fields(ROW_TYPES[name])]
    assert set(ROW_TYPES[name].KEY) <= set(ROW_TYPES[name].SCHEMA.names)


@pytest.mark.parametrize("name", ROW_TYPES)
def test_write_then_read_gives_equal_rows(name, tmp_path):
    tables.write(tmp_path, [TOYS[name]], ROW_TYPES[name])
    assert list(tables.read(tmp_path, ROW_TYPES[name])) == [TOYS[name]]


def test_write_more_than_a_part_splits_and_keeps_the_order(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "PART_ROWS", 3)
    made = testing.questions(7)
    assert tables.write(tmp_path, iter(made), Question) == 7
    assert [path.name for path in tables.parts(tmp_path)] == [f"part-{number:05d}.parquet" for number in range(3)]
    assert list(tables.read(tmp_path, Question)) == made


def test_write_exactly_one_part_makes_one_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "PART_ROWS", 3)
    tables.write(tmp_path, testing.questions(3), Question)
    assert len(tables.parts(tmp_path)) == 1


def test_write_no_rows_makes_an_empty_part(tmp_path):
    assert tables.write(tmp_path, [], Question) == 0
    assert list(tables.read(tmp_path, Question)) == []


def test_parts_dropped_rows_are_not_among_them(tmp_path):
    tables.write(tmp_path, testing.questions(1), Question)
    tables.write(tmp_path / "dropped", [rows.dropped(ASKED, "toy")], rows.Dropped)
    tables.write(tmp_path / "shards" / "0-of-2" / "dropped", [rows.dropped(ASKED, "toy")], rows.Dropped)
    assert tables.parts(tmp_path) == [tmp_path / "part-00000.parquet"]


def test_parts_directory_called_dropped_above_the_artifact_does_not_hide_it(tmp_path):
    tables.write(tmp_path / "dropped" / "x", testing.questions(1), Question)
    assert len(tables.parts(tmp_path / "dropped" / "x")) == 1


def test_read_no_parts_says_what_to_do(tmp_path):
    with pytest.raises(MissingInput, match="give the URI that a stage or `stillhouse import` wrote"):
        list(tables.read(tmp_path, Question))


def test_read_other_row_type_names_the_missing_columns(tmp_path):
    tables.write(tmp_path, testing.questions(1), Question)
    with pytest.raises(BadRows, match=r"no column .*verify_score.*is this a Verified artifact\?"):
        list(tables.read(tmp_path, Verified))


def test_read_more_columns_than_the_contract_are_ignored(tmp_path):
    tables.write_part(tmp_path / "part-0.parquet", [ASKED], Question)
    table = pq.read_table(tmp_path / "part-0.parquet").append_column("later", pa.array([1]))
    pq.write_table(table, tmp_path / "part-0.parquet")
    assert list(tables.read(tmp_path, Question)) == [ASKED]


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
