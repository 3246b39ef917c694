import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.artifacts.tables import Parts, TableParts
from stillhouse.errors import BadRows, MissingInput
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.rows import ROW_TYPES, Question, Verified

ASKED = testing.question()
TOYS = {
    "questions": ASKED, "responses": testing.response(ASKED), "verified": testing.verified(testing.response(ASKED)),
    "screened": testing.screened(testing.response(ASKED), kept=False), "graded": testing.graded(ASKED),
    "selected": testing.selected(ASKED),
}  # fmt: skip


def test_parts_are_written_as_they_fill(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "PART_ROWS", 4)
    made = Parts(tmp_path, Question)
    for question in testing.questions(10):
        made.add(question)
    assert [pq.read_metadata(path).num_rows for path in made.paths] == [4, 4]
    made.flush()
    assert list(tables.read(tmp_path, Question)) == testing.questions(10)


def test_parts_of_long_rows_have_fewer(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "PART_BYTES", 90)
    made = Parts(tmp_path, Question, "pairs")
    for question in testing.questions(3):
        made.add(question)
    assert [path.name for path in made.paths] == ["pairs-00000.parquet"]
    assert pq.read_metadata(made.paths[0]).num_rows == 2


def test_table_parts_put_small_tables_together(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "PART_ROWS", 5)
    made = TableParts(tmp_path, Question.SCHEMA)
    for start in range(0, 12, 2):
        made.add(tables.table(testing.questions(12)[start : start + 2], Question))
    made.flush()
    assert [pq.read_metadata(path).num_rows for path in tables.parts(tmp_path)] == [4, 4, 4]
    assert list(tables.read(tmp_path, Question)) == testing.questions(12)


def test_table_parts_of_nothing_are_one_empty_part(tmp_path):
    TableParts(tmp_path, Question.SCHEMA).flush()
    assert list(tables.read(tmp_path, Question)) == []


def test_parts_closed_without_rows_are_one_empty_part_and_flushed_none(tmp_path):
    made = Parts(tmp_path, Question)
    made.flush()
    assert made.paths == []
    made.close()
    made.close()
    assert [path.name for path in tables.parts(tmp_path)] == ["part-00000.parquet"]
    assert list(tables.read(tmp_path, Question)) == []


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


def test_read_page_that_was_damaged_is_an_error(tmp_path):
    tables.write(tmp_path, testing.questions(200), Question)
    (path,) = tables.parts(tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(OSError, match="CRC"):
        list(tables.read(tmp_path, Question))
