import pyarrow.parquet as pq

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.artifacts.tables import Parts, TableParts
from stillhouse.vocabulary.rows import Question


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
