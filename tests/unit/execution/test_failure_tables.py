import json

import pytest

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.execution import failure_tables
from stillhouse.vocabulary.rows import Dropped, Verified


def written(tmp_path, metrics=None) -> dict:
    (tmp_path / "tables").mkdir()
    paths = failure_tables.written(tmp_path / "output", metrics or {}, tmp_path / "tables")
    return {path.name: json.loads(path.read_bytes()) for path in paths}


def drop(tmp_path, records):
    (tmp_path / "output").mkdir()
    tables.write(tmp_path / "output" / "dropped", records, Dropped)


def test_written_has_some_dropped_rows_of_each_reason(tmp_path):
    drop(tmp_path, [Dropped(f"k{number}", "duplicate", "of q1", "{}") for number in range(500)] + [Dropped("x", "rare", "", "{}")])
    [table] = written(tmp_path).values()
    assert table["columns"] == ["reason", "key", "detail", "n", "row"]
    reasons = [row[0] for row in table["data"]]
    assert (reasons.count("duplicate"), reasons.count("rare")) == (failure_tables.MOST_OF_A_REASON, 1)


def test_written_texts_are_short_and_without_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "hunter2hunter2")
    drop(tmp_path, [Dropped("k", "bad", "hunter2hunter2", "x" * 10_000)])
    [[_, _, detail, _, row]] = written(tmp_path)["dropped.table.json"]["data"]
    assert detail == "***"
    assert len(row) <= failure_tables.MOST_CHARS + 1


def test_written_is_nothing_where_nothing_was_dropped_or_failed(tmp_path):
    drop(tmp_path, [])
    assert written(tmp_path, {"n_timeout": 0.0}) == {}


def test_written_on_a_full_disk_is_nothing_and_says_so(tmp_path, capsys):
    drop(tmp_path, [Dropped("k", "bad", "", "{}")])
    assert failure_tables.written(tmp_path / "output", {}, tmp_path / "gone") == []
    assert "no table of dropped rows" in capsys.readouterr().err


def test_written_is_nothing_for_a_stage_without_rows(tmp_path):
    (tmp_path / "output").mkdir()
    assert written(tmp_path) == {}


@pytest.mark.parametrize("kind", ["timeout", "error"])
def test_written_has_the_responses_that_the_verifier_failed_on(tmp_path, kind):
    question = testing.question()
    sound = testing.verified(testing.response(question))
    failed = testing.verified(testing.response(question), kind=kind, verify_score=None, passed=None, detail="killed after 10 s")
    tables.write(tmp_path / "output", [sound, failed, sound], Verified)
    table = written(tmp_path, {f"n_{kind}": 1.0})["failures.table.json"]
    [row] = [dict(zip(table["columns"], cells, strict=True)) for cells in table["data"]]
    assert (row["kind"], row["detail"], row["question_id"]) == (kind, "killed after 10 s", question.question_id)
