import json

import pytest

from stillhouse import testing
from stillhouse.artifacts.digests import sha256
from stillhouse.curation.config import QuestionsConfig
from stillhouse.curation.held_out import held_out, pinned_location, short_name
from stillhouse.errors import BadConfig, BadRows
from stillhouse.vocabulary.rows import Question, Response


def file(tmp_path, *rows):
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"question": "Why?", "answer": "1"}, "Why?"),
        ({"Body": "Tom has 3.", "Question": "How many?"}, "Tom has 3.\nHow many?"),
        ({"instruction": "Add", "input": "1 and 2", "output": "3"}, "Add\n1 and 2"),
        ({"problem": "Prove it", "solution": "x"}, "Prove it"),
        ({"messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Why?"}]}, "Why?"),
        ({"prompt": [{"from": "human", "value": "Why?"}]}, "Why?"),
        ({"prompt": "Write f"}, "Write f"),
    ],
)
def test_held_out_file_of_a_common_shape_is_read_without_a_mapping(tmp_path, row, text):
    (question,) = held_out(pinned_location(file(tmp_path, row)))
    assert question.messages == [{"role": "user", "content": text}]


def test_pinned_location_of_a_file_has_its_digest_and_goes_into_the_config(tmp_path):
    path = file(tmp_path, {"question": "Why?"})
    pinned = f"{path}@sha256-{sha256(tmp_path / 'mine.jsonl')}"
    assert pinned_location(path) == pinned == pinned_location(pinned)
    assert QuestionsConfig(decontaminate=[path]).decontaminate == (pinned,)
    assert short_name(pinned) == "mine.jsonl"


@pytest.mark.parametrize(
    ("name", "content"),
    [("mine.csv", "question,answer\nWhy?,1\n"), ("mine.json", '[{"question": "Why?"}]'), ("MINE.JSONL", '{"question": "Why?"}')],
)
def test_held_out_file_of_any_format_is_read(tmp_path, monkeypatch, name, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(content)
    (pinned,) = QuestionsConfig(decontaminate=[name]).decontaminate
    assert [row.messages[0]["content"] for row in held_out(pinned)] == ["Why?"]
    assert short_name(pinned) == name


def test_held_out_artifact_is_pinned_by_its_fingerprint(tmp_path):
    uri = f"{tmp_path}/questions/exam/1"
    manifest = testing.publish([testing.question("Why?")], Question, uri)
    pinned = pinned_location(uri)
    assert pinned == f"{uri}@{manifest.fingerprint}"
    assert [row.messages[0]["content"] for row in held_out(pinned)] == ["Why?"]
    assert short_name(pinned) == "exam-1"


def test_held_out_file_that_changed_is_refused(tmp_path):
    pinned = pinned_location(file(tmp_path, {"question": "Why?"}))
    file(tmp_path, {"question": "Why not?"})
    with pytest.raises(BadConfig, match="the config pins"):
        held_out(pinned)


@pytest.mark.parametrize("row", [{"answer": "1"}, {"question": ""}, {"question": None}, {"messages": []}, []])
def test_held_out_row_without_a_question_is_refused_with_its_line(tmp_path, row):
    pinned = pinned_location(file(tmp_path, {"question": "Why?"}, row))
    with pytest.raises(BadRows, match=r"mine\.jsonl line 2: .*a question is in messages, or in one of"):
        held_out(pinned)


def test_config_of_what_cannot_be_kept_out_says_why(tmp_path):
    testing.publish([testing.response(testing.question())], Response, f"{tmp_path}/responses/x/1")
    for name, says in ((f"{tmp_path}/none.jsonl", "no such file"), (f"{tmp_path}/responses/x/1", "is a responses artifact")):
        with pytest.raises(ValueError, match=says):
            QuestionsConfig(decontaminate=[name])
