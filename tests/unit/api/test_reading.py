import pytest

import stillhouse as sh
from stillhouse import testing
from stillhouse.errors import BadRows, MissingInput
from stillhouse.vocabulary.rows import Question

SOURCE = {"kind": "arithmetic", "name": "toy", "count": 30, "families": {"add-1": 1}}


def test_read_artifact_part_file_and_file_uri_give_the_same_rows(tmp_path):
    rows = testing.questions(3)
    testing.publish(rows, Question, str(tmp_path / "questions" / "x" / "1"))
    frame = sh.read(tmp_path / "questions" / "x" / "1")
    assert frame["question_id"].to_list() == [row.question_id for row in rows]
    assert frame["messages"].to_list() == [row.messages for row in rows]
    (part,) = (tmp_path / "questions" / "x" / "1").rglob("part-*.parquet")
    assert sh.read(part).equals(frame)
    assert sh.read(f"file://{tmp_path}/questions/x/1").equals(frame)


def test_read_dropped_gives_the_reasons_and_an_empty_frame_where_nothing_was_dropped(tmp_path):
    sh.run("questions", {"sources": [SOURCE]}, output=tmp_path / "questions" / "x" / "1")
    assert set(sh.read(tmp_path / "questions" / "x" / "1", dropped=True)["reason"]) == {"duplicate"}
    testing.publish(testing.questions(1), Question, str(tmp_path / "questions" / "y" / "1"))
    nothing = sh.read(tmp_path / "questions" / "y" / "1", dropped=True)
    assert (nothing.height, "reason" in nothing.columns) == (0, True)


def test_read_json_lines(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    assert sh.read(tmp_path / "rows.jsonl")["a"].to_list() == [1, 2]
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"a"')
    with pytest.raises(BadRows, match="bad_json"):
        sh.read(tmp_path / "rows.jsonl")


def test_read_of_nothing_published_is_missing(tmp_path):
    with pytest.raises(MissingInput, match="nothing is published there"):
        sh.read(tmp_path / "questions" / "x" / "1")


def test_lineage_lists_what_an_artifact_was_made_of_depth_first(tmp_path):
    sh.run("questions", {"sources": [SOURCE]}, output=tmp_path / "questions" / "x" / "1")
    sh.run("questions", inputs={"imported": str(tmp_path / "questions" / "x" / "1")}, output=tmp_path / "questions" / "y" / "1")
    frame = sh.lineage(tmp_path / "questions" / "y" / "1")
    assert frame.select("depth", "input", "stage").rows() == [(0, None, "questions"), (1, "imported", "questions")]
    assert frame["rows"].to_list() == [sh.read(uri).height for uri in frame["uri"]]
