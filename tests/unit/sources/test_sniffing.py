import io
import json
import sys
from collections import Counter
from types import SimpleNamespace

import pytest
import yaml
from pydantic import TypeAdapter

from stillhouse import sources
from stillhouse.artifacts.digests import sha256 as digest_of
from stillhouse.errors import BadConfig, BadRows, MissingInput
from stillhouse.execution.recipes import resolve
from stillhouse.reporting.sniffed import write_recipe
from stillhouse.sources.config import Spec
from stillhouse.sources.sniffing import sniff
from stillhouse.stages import questions
from stillhouse.vocabulary.rows import Dropped
from tests.unit.sources.shapes import SHAPES
from tests.unit.sources.test_presets import CHOICES, FIRST, write

LOST = {"numina-math": 1, "open-math-reasoning": 1, "natural-reasoning": 1, "apps": 1, "olympiadbench": 1}
"""Rows of the shapes that have no answer: sniffed mappings leave them out as the presets do."""


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_sniff_of_every_public_shape_reads_all_its_rows(tmp_path, name):
    found = sniff(str(write(tmp_path, name)))
    assert len(found.questions) == len(SHAPES[name]) - LOST.get(name, 0), found.details
    assert set(found.dropped) <= {"filtered"}


@pytest.mark.parametrize("name", sorted(set(FIRST) - {"dapo-17k"}))
def test_sniff_guesses_the_question_and_the_reference_of_the_preset(tmp_path, name):
    first = sniff(str(write(tmp_path, name))).questions[0]
    assert (first.messages[-1]["content"], first.reference_answer) == FIRST[name]


@pytest.mark.parametrize("name", sorted(CHOICES))
def test_sniff_finds_options_and_the_letter(tmp_path, name):
    first = sniff(str(write(tmp_path, name))).questions[0]
    assert first.messages[-1]["content"].startswith(CHOICES[name][0])
    assert first.reference_answer == CHOICES[name][1]


def test_sniff_writes_a_recipe_that_questions_takes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = sniff(str(write(tmp_path, "mbpp")), name="mine")
    write_recipe(found, tmp_path / "questions-mine.yaml")
    config = resolve(questions.Config, [f"@{tmp_path / 'questions-mine.yaml'}"])
    assert [spec.name for spec in config.sources] == ["mine"]
    write_recipe(found, tmp_path / "questions-mine.yaml")  # equal: nothing to say
    (tmp_path / "questions-mine.yaml").write_text("sources: []\n")
    with pytest.raises(BadConfig, match="another file is there; nothing was overwritten"):
        write_recipe(found, tmp_path / "questions-mine.yaml")


def test_sniff_names_columns_that_nothing_maps_with_counts(tmp_path):
    found = sniff(str(write(tmp_path, "mbpp")))
    assert found.unmapped == {"task_id": 3}


def test_sniff_category_of_the_user_wins(tmp_path):
    assert {row.category for row in sniff(str(write(tmp_path, "gsm8k")), category="science").questions} == {"science"}


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        ('{"a": 1}\n', BadConfig, "no column looks like a question"), ("", BadRows, "no row could be read"),
        ("{broken\n", BadRows, "no row could be read"), (None, MissingInput, "no such file"),
    ],
)  # fmt: skip
def test_sniff_of_no_rows_or_no_questions_says_so(tmp_path, content, error, says):
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(error, match=says):
        sniff(str(path))


def test_sniff_standard_input_is_told_by_its_beginning(monkeypatch):
    data = "".join(json.dumps(row) + "\n" for row in SHAPES["gsm8k"]).encode()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert [row.reference_answer for row in sniff("-").questions] == ["2000", "3000", "4000"]


def test_sniff_recipe_keeps_texts_of_several_lines_readable(tmp_path):
    found = sniff(str(write(tmp_path, "apps")))
    write_recipe(found, tmp_path / "r.yaml")
    assert yaml.safe_load((tmp_path / "r.yaml").read_text().partition("sources:")[2])[0] == found.source
    assert "prompt: |-" in (tmp_path / "r.yaml").read_text()


def test_sniff_reads_names_of_columns_in_upper_case_too(tmp_path):
    path = tmp_path / "additions.csv"
    rows = [
        "Problem,Solution,Answer,Difficulty",
        "What is 2 + 3?,<think>2 and 3</think> 5,5,easy",
        "What is 4 + 4?,twice 4 is 8,8,easy",
    ]
    path.write_text("\n".join(rows))
    first = sniff(str(path)).questions[0]
    assert (first.reference_answer, first.original_response, first.difficulty_label) == ("5", "<think>2 and 3</think> 5", "easy")


@pytest.mark.parametrize("names", [("Problem", "Final Answer"), ("question", " answer"), ("Question-Text", "Correct Answer")])
def test_sniff_reads_names_of_columns_with_blanks_and_hyphens(tmp_path, names):
    path = tmp_path / "rows.jsonl"
    rows = [dict(zip(names, (f"How much is {n} + 1?", str(n + 1)), strict=True)) for n in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [row.reference_answer for row in sniff(str(path)).questions] == ["1", "2", "3"]


def in_server_rows(rows):
    return [{"row_idx": number, "row": row, "truncated_cells": []} for number, row in enumerate(rows)]


WRAPPED = {
    "item": lambda rows: [{"item": row} for row in rows],
    "row": in_server_rows,
    "data": lambda rows: [{"id": number, "data": row} for number, row in enumerate(rows)],
    "data.item": lambda rows: [{"data": {"item": row}, "ok": True} for row in rows],
    "payload": lambda rows: [{"payload": json.dumps(row)} for row in rows],
}
"""Rows inside an object of each row, by the path that leads there."""


@pytest.mark.parametrize("path", sorted(WRAPPED))
@pytest.mark.parametrize("name", ["gsm8k", "svamp", "mmlu", "mbpp", "gpqa", "ifeval"])
def test_sniff_of_rows_inside_an_object_reads_them_like_the_others(tmp_path, name, path):
    bare = sniff(str(write(tmp_path, name)))
    file = tmp_path / "wrapped.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in WRAPPED[path](SHAPES[name])))
    found = sniff(str(file))
    assert found.source["inside"] == path
    assert [question.messages for question in found.questions] == [question.messages for question in bare.questions]
    assert [question.reference_answer for question in found.questions] == [row.reference_answer for row in bare.questions]
    assert set(bare.unmapped) <= set(found.unmapped) <= {*bare.unmapped, "row_idx", "id", "ok"}


def test_sniff_of_the_answer_of_the_hubs_server_reads_its_rows(tmp_path):
    file = tmp_path / "rows.json"
    answer = {"features": [{"name": "question"}], "rows": in_server_rows(SHAPES["gsm8k"]), "num_rows_total": 3, "partial": False}
    file.write_text(json.dumps(answer))
    assert [row.reference_answer for row in sniff(str(file)).questions] == ["2000", "3000", "4000"]


def test_rows_whose_inner_object_is_missing_are_dropped_by_name(tmp_path):
    rows = [*WRAPPED["item"](SHAPES["gsm8k"]), {"item": None}, {"item": "text"}, {"other": 1}]
    source = {
        "kind": "file",
        "name": "x",
        "path": str(tmp_path / "rows.jsonl"),
        "license": "mit",
        "category": "math",
        "inside": "item",
    }
    source |= {"columns": {"prompt": "question", "reference_answer": "answer"}, "extract": "hash_answer", "max_bad_rate": 1}
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = TypeAdapter(Spec).validate_python(source | {"sha256": digest_of(tmp_path / "rows.jsonl")})
    read = list(sources.read(spec, Counter()))
    assert [(row.reason, row.detail) for row in read if isinstance(row, Dropped)] == [
        ("bad_type", "item: null, not an object with columns"), ("bad_type", "item: str, not an object with columns"),
        ("bad_column", "item: missing; the row has other"),
    ]  # fmt: skip


SUM = "How much is 3 + 3?"
OPTIONS = ["6", "seven", "eight", "nine"]
LABELLED = [{"label": label, "text": text} for label, text in zip("ABCD", OPTIONS, strict=True)]


@pytest.mark.parametrize("row", [
    {"question": SUM, "choices": {"text": OPTIONS, "label": ["A", "B", "C", "D"]}, "answerKey": "A"},
    {"question": SUM, "choices": {"text": OPTIONS, "label": ["1", "2", "3", "4"]}, "answerKey": "1"},
    {"question": SUM, "choices": {"label": ["1", "2", "3", "4"], "text": OPTIONS}, "answerKey": "1"},
    {"id": "1", "question": {"stem": SUM, "choices": LABELLED}, "answerKey": "A"},
    {"question": SUM, "choices": json.dumps(OPTIONS), "answer": "A"},
    {"question": SUM, "options": ["A) 6", "B) seven", "C) eight", "D) nine"], "correct": "A"},
    {"question": SUM, "options": ["A)6", "B)seven", "C)eight", "D)nine"], "correct": "A)6"},
    {"question": SUM, "options": ["(a) 6", "(b) seven", "(c) eight", "(d) nine"], "answer": "a"},
    {"question": SUM, "options": dict(zip("ABCD", OPTIONS, strict=True)), "answer_idx": "A", "answer": "6"},
    {"ctx": SUM, "endings": OPTIONS, "label": "0"},
    {"sentence": SUM, "option1": "6", "option2": "seven", "option3": "eight", "option4": "nine", "answer": "1"},
    {"goal": SUM, "sol1": "6", "sol2": "seven", "sol3": "eight", "sol4": "nine", "label": 0},
])  # fmt: skip
def test_sniff_of_options_in_any_form_shows_them_and_finds_the_letter(tmp_path, row):
    (tmp_path / "rows.jsonl").write_text((json.dumps(row) + "\n") * 3)
    found = sniff(str(tmp_path / "rows.jsonl"))
    assert (found.questions[0].messages[-1]["content"], found.questions[0].reference_answer) == (
        f"{SUM}\nA) 6\nB) seven\nC) eight\nD) nine\n\nExactly one choice is right. Answer with its letter.", "A"
    )  # fmt: skip


@pytest.mark.parametrize("row", [
    {"question": SUM, "answer": {"value": "6", "aliases": ["six"]}},
    {"question": SUM, "answers": {"text": ["6"], "answer_start": [0]}},
    {"question": SUM, "answers": ["6", "6.0"]}, {"question": SUM, "answers": ["6"]},
    {"item": {"question": SUM, "solution": {"answer": "6"}}},
    {"prompt": [{"role": "user", "content": SUM}], "reward_model": {"ground_truth": '["6"]', "style": "rule"}},
])  # fmt: skip
def test_sniff_finds_an_answer_inside_an_object_or_a_list(tmp_path, row):
    (tmp_path / "rows.jsonl").write_text((json.dumps(row) + "\n") * 3)
    first = sniff(str(tmp_path / "rows.jsonl")).questions[0]
    assert (first.messages[-1]["content"], first.reference_answer) == (SUM, "6")


@pytest.mark.parametrize("row", [
    {"messages": json.dumps([{"role": "user", "content": SUM}, {"role": "assistant", "content": "6"}])},
    {"chosen": [{"role": "user", "content": SUM}, {"role": "assistant", "content": "6"}], "rejected": []},
    {"prompt": SUM, "chosen": "6", "rejected": "7"},
])  # fmt: skip
def test_sniff_finds_the_response(tmp_path, row):
    (tmp_path / "rows.jsonl").write_text((json.dumps(row) + "\n") * 3)
    first = sniff(str(tmp_path / "rows.jsonl")).questions[0]
    assert (first.messages[-1]["content"], first.original_response) == (SUM, "6")


def test_sniff_of_letters_of_options_in_the_question_is_science(tmp_path):
    row = {"question": f"{SUM}\nA. 6\nB. 1", "answer": "A"}
    (tmp_path / "rows.jsonl").write_text((json.dumps(row) + "\n") * 3)
    assert sniff(str(tmp_path / "rows.jsonl")).source["category"] == "science"


def test_sniff_of_empty_questions_reads_the_others(tmp_path):
    rows = [{"question": "" if number % 2 else SUM, "answer": "6"} for number in range(6)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert sniff(str(tmp_path / "rows.jsonl")).source["columns"]["prompt"] == "question"


def test_sniff_of_rows_inside_an_object_reads_on_where_one_is_null(tmp_path):
    rows = [{"item": None if number == 3 else {"question": SUM, "answer": "6"}} for number in range(10)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = sniff(str(tmp_path / "rows.jsonl"))
    assert (found.source["inside"], len(found.questions), found.dropped) == ("item", 9, {"bad_type": 1})
