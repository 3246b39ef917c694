import time

import polars as pl

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.browsing.lookups import located, nearest_parts, shares
from stillhouse.browsing.parts import PartFile, RowTable
from stillhouse.vocabulary.rows import Question

KEY = ("question_id",)


def parts(directory, n_parts, n_rows=10):
    """A table of questions in parts, and the questions."""
    questions, found = testing.questions(n_parts * n_rows), []
    for number in range(n_parts):
        path = directory / f"part-{number:05d}.parquet"
        tables.write_part(path, questions[number * n_rows : (number + 1) * n_rows], Question)
        found.append(PartFile(str(path), n_rows))
    return RowTable("questions", tuple(found), (n_parts,), KEY), questions


def test_located_rows_come_with_their_place(tmp_path):
    table, questions = parts(tmp_path, 4)
    keys = pl.DataFrame({"question_id": [questions[25].question_id, questions[3].question_id, "nowhere"]})
    found = located(table, keys, [(0.6, 0.7)], ("category",), deadline=time.monotonic() + 60).sort("_part")
    assert found.select("_part", "_row", "category").rows() == [(0, 3, "math"), (2, 5, "math")]


def test_located_after_the_deadline_looks_at_the_nearest_parts_only(tmp_path):
    table, questions = parts(tmp_path, 9)
    keys = pl.DataFrame({"question_id": [questions[0].question_id, questions[85].question_id]})
    assert located(table, keys, [(0.0, 0.01)], deadline=0.0)["_part"].to_list() == [0]


def test_nearest_parts_begin_where_one_of_the_shares_lies(tmp_path):
    table, _ = parts(tmp_path, 4)
    assert list(nearest_parts(table, [(0.8, 0.9)])) == [3, 2, 1, 0]
    assert set(list(nearest_parts(table, [(0.1, 0.1), (0.9, 0.9)]))[:2]) == {0, 3}


def test_shares_of_questions_follow_the_model_that_answers():
    files = tuple(PartFile(f"{number}", 10) for number in range(4))
    verified = RowTable("verified", files, (4,), ("question_id", "model"))
    responses = RowTable("responses", files, (1, 3), ("question_id", "model"))
    questions = RowTable("questions", files[:1], (1,), KEY)
    near = shares(verified, questions, responses, 0.5, 0.5)
    assert near[0] == (1 / 3, 1 / 3), "a third into the second artifact"
    assert (0.5 * 3 % 1, 0.5 * 3 % 1) in near
    assert shares(verified, responses, responses, 0.5, 0.6) == [(0.5, 0.6)]
