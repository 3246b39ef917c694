import json
from dataclasses import fields

import polars as pl
import pytest

import stillhouse as sh
from stillhouse import testing
from stillhouse.errors import BadConfig, BadRows, MissingInput

QUESTIONS = testing.questions(4)
RESPONSES = [
    testing.response(question, answer, sample_index=index)
    for question in QUESTIONS
    for index, answer in enumerate([None, "wrong", None])
]
EXPECTED = [True, False, True] * 4


def as_dicts(rows):
    return [{column.name: getattr(row, column.name) for column in fields(row)} for row in rows]


def as_file(tmp_path, name, rows):
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in as_dicts(rows)))
    return path


@pytest.mark.parametrize("form", ["objects", "dicts", "frame", "path", "str"])
def test_verify_takes_rows_in_any_form(tmp_path, form):
    made = {
        "objects": lambda rows: rows,
        "dicts": as_dicts,
        "frame": lambda rows: pl.DataFrame(as_dicts(rows), infer_schema_length=None),
        "path": lambda rows: as_file(tmp_path, f"{type(rows[0]).__name__}.jsonl", rows),
        "str": lambda rows: str(as_file(tmp_path, f"{type(rows[0]).__name__}.jsonl", rows)),
    }[form]
    verdicts = sh.verify(made(QUESTIONS), made(RESPONSES))
    assert verdicts["passed"].to_list() == EXPECTED
    assert verdicts["question_id"].to_list() == [row.question_id for row in RESPONSES]


def test_verify_settings_are_fields_of_the_stage():
    thresholds = {"pass_thresholds": {"math": 1.0}}
    assert sh.verify(QUESTIONS, RESPONSES, self_test=False, **thresholds)["passed"].any() is False
    with pytest.raises(BadConfig, match=r"timeout: no such field \(did you mean timeout_s\?\)"):
        sh.verify(QUESTIONS, RESPONSES, timeout=3)


@pytest.mark.parametrize(
    ("questions", "responses", "error", "says"),
    [
        ([{"category": "math"}], RESPONSES, BadRows, "questions: line 1: messages: missing"),
        (QUESTIONS, [], BadRows, "responses: no rows; give at least one"),
        (
            QUESTIONS,
            [{"question_id": "x", "model": "m", "sample_index": 0, "text": "t"}],
            BadRows,
            "none of 1 responses answers a question",
        ),
        (7, RESPONSES, TypeError, "questions: a int is not rows; give a list of dicts"),
        ({"category": "math"}, RESPONSES, TypeError, "questions: a dict is not rows"),
        (QUESTIONS, ["text"], TypeError, "responses: row 1 is a str; give a dict"),
        (QUESTIONS, "nowhere.jsonl", MissingInput, "no such file"),
        (QUESTIONS, "rows.csv", MissingInput, "rows.csv: no such file"),
    ],
)
def test_verify_wrong_rows_are_refused(questions, responses, error, says):
    with pytest.raises(error, match=says):
        sh.verify(questions, responses)


def test_grade_counts_pass_rates_of_the_verdicts():
    graded = sh.grade(QUESTIONS, sh.verify(QUESTIONS, RESPONSES), small="toy", medium="toy")
    assert [models[0]["pass_rate"] for models in graded["models"].to_list()] == pytest.approx([2 / 3] * 4)
    assert graded["question_id"].to_list() == [row.question_id for row in QUESTIONS]


def test_grade_unknown_model_names_the_known_ones():
    with pytest.raises(BadConfig, match="models: toy"):
        sh.grade(QUESTIONS, [testing.verified(RESPONSES[0])], small="nobody", medium="toy")
