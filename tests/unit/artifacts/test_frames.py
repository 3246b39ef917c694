import polars as pl
import pyarrow.parquet as pq
import pytest

from stillhouse import testing
from stillhouse.artifacts import frames, tables
from stillhouse.errors import BadRows
from stillhouse.vocabulary.rows import Dropped, Question, Response, Verified

ASKED = testing.questions(7)


@pytest.fixture
def two_artifacts(tmp_path, monkeypatch):
    """Seven responses in two artifacts, in parts of at most two rows."""
    monkeypatch.setattr(tables, "PART_ROWS", 2)
    made = [testing.response(each, text=f"text {place}") for place, each in enumerate(ASKED)]
    tables.write(tmp_path / "a", made[:3], Response)
    tables.write(tmp_path / "b", made[3:], Response)
    return [tmp_path / "a", tmp_path / "b"]


def test_scan_gives_columns_and_places_over_all_artifacts(two_artifacts):
    found = frames.scan(two_artifacts, Response, ("question_id", "round"), row_number="place").collect()
    assert found.columns == ["question_id", "round", "place"]
    assert found["question_id"].to_list() == [each.question_id for each in ASKED]
    assert found["place"].to_list() == list(range(7))


def test_scan_missing_column_is_refused(two_artifacts):
    with pytest.raises(BadRows, match="no column verify_score; got .*; is this a Verified artifact"):
        frames.scan(two_artifacts, Verified, ("question_id", "verify_score"))


@pytest.mark.parametrize("places", [[], [0], [6], [1, 2, 3, 5], [0, 1, 2, 3, 4, 5, 6]])
def test_fetch_gives_the_rows_at_the_places_in_order(two_artifacts, places, monkeypatch):
    monkeypatch.setattr(frames, "FETCH_ROWS", 2)
    batches = list(frames.fetch(two_artifacts, pl.Series(places, dtype=pl.UInt32), ("text",)))
    assert all(batch.height <= 2 for batch in batches)
    assert [text for batch in batches for text in batch["text"]] == [f"text {place}" for place in places]


def test_write_gathers_batches_into_parts_that_the_row_reader_takes(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "PART_ROWS", 3)
    tables.write(tmp_path / "in", ASKED, Question)
    frame = frames.scan(tmp_path / "in", Question, Question.SCHEMA.names).collect()
    assert frames.write(tmp_path / "out", (frame[at] for at in ([0], [1, 2, 3, 4, 5], [6])), Question) == 7
    assert [pq.read_metadata(path).num_rows for path in tables.parts(tmp_path / "out")] == [3, 3, 1]
    assert list(tables.read(tmp_path / "out", Question)) == ASKED


def test_write_long_texts_make_smaller_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "FRAME_BYTES", 1)
    tables.write(tmp_path / "in", ASKED, Question)
    frame = frames.scan(tmp_path / "in", Question, Question.SCHEMA.names).collect()
    frames.write(tmp_path / "out", (frame[at] for at in range(7)), Question)
    assert len(tables.parts(tmp_path / "out")) == 7


def test_write_nothing_is_an_artifact_without_rows(tmp_path):
    assert frames.write(tmp_path, [], Question) == 0
    assert list(tables.read(tmp_path, Question)) == []


def test_write_dropped_counts_the_rows_that_records_stand_for(tmp_path):
    asked = pl.DataFrame({"question_id": ["q1", "q2"], "reason": ["easy", "odd"]})
    responses = pl.DataFrame({"key": ["q3/m/question/1/0,4", "*/n/question/1/*"], "n": [2, 2**31 - 1]})
    records = [frames.dropped(asked, pl.col("reason")), frames.dropped(responses, "easy", "key")]
    assert frames.write_dropped(tmp_path, records) == {"easy": 2**31 + 2, "odd": 1}, "more than an int32 holds"
    assert [(row.key, row.reason, row.n) for row in tables.read(tmp_path, Dropped)] == [
        ("q1", "easy", 1), ("q2", "odd", 1), ("q3/m/question/1/0,4", "easy", 2), ("*/n/question/1/*", "easy", 2**31 - 1),
    ]  # fmt: skip
