import gzip
import json
import re
from pathlib import Path

import pytest

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import tables
from stillhouse.errors import BadConfig, BadRows, MissingInput, StaleOutput
from stillhouse.exchange.jsonl import import_file
from stillhouse.vocabulary import ids
from stillhouse.vocabulary.rows import Question, Response

GOOD = {"category": "math", "messages": [{"role": "user", "content": "1+1?"}], "reference_answer": "2"}
SPOKEN = {"question_id": "q", "model": "m", "sample_index": 0, "text": "<think>a</think><answer>b</answer>"}


def file_of(directory: Path, *lines: object) -> str:
    path = directory / "rows.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    return str(path)


def read(uri: str, row_type: type) -> list:
    return list(tables.read(Path(uri), row_type))


def output_of(directory: Path, name: str = "questions", version: str = "1") -> str:
    return str(directory / name / "mine" / version)


def refusal(directory: Path, *lines: object, name: str = "questions") -> str:
    with pytest.raises(BadRows) as caught:
        import_file(file_of(directory, *lines), name, output_of(directory, name))
    assert manifests.find(output_of(directory, name)) is None
    return str(caught.value)


def test_import_questions_id_is_computed_and_given_one_is_kept(tmp_path):
    manifest = import_file(file_of(tmp_path, GOOD, b"", {**GOOD, "question_id": "mine"}), "questions", output_of(tmp_path))
    first, second = read(output_of(tmp_path), Question)
    assert (first.question_id, second.question_id) == (ids.question_id(GOOD["messages"], "2"), "mine")
    assert (manifest.stage, manifest.rows, manifest.metrics) == ("questions", 2, {"n_imported": 2})
    assert list(manifest.config) == ["imported"]


def test_import_responses_think_and_answer_are_parsed_where_absent(tmp_path):
    given = {**SPOKEN, "sample_index": 1, "think": None, "answer": "c"}
    import_file(file_of(tmp_path, SPOKEN, given), "responses", output_of(tmp_path, "responses"))
    first, second = read(output_of(tmp_path, "responses"), Response)
    assert (first.think, first.answer, first.prompt_kind, first.round, first.finish_reason) == ("a", "b", "question", 1, "stop")
    assert (second.think, second.answer) == (None, "c")


def test_import_all_columns_round_trip(tmp_path):
    row = Response("q", "m", "summary", 2, 3, "text", "t", None, "length", 4, 5, 2**62, "s")
    columns = {name: getattr(row, name) for name in Response.SCHEMA.names}
    import_file(file_of(tmp_path, columns), "responses", output_of(tmp_path, "responses"))
    assert read(output_of(tmp_path, "responses"), Response) == [row]


def test_import_same_file_again_changes_nothing(tmp_path):
    path = file_of(tmp_path, GOOD)
    first = import_file(path, "questions", output_of(tmp_path))
    assert import_file(path, "questions", output_of(tmp_path)) == first


def test_import_other_file_same_place_is_refused(tmp_path):
    import_file(file_of(tmp_path, GOOD), "questions", output_of(tmp_path))
    with pytest.raises(StaleOutput):
        import_file(file_of(tmp_path, {**GOOD, "reference_answer": "3"}), "questions", output_of(tmp_path))
    assert read(output_of(tmp_path), Question)[0].reference_answer == "2"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{bad", "line 2: not JSON"),
        (b"[]", "line 2: line: .*object"),
        (b"null", "line 2: line: "),
        (b'{"category": "math\xff"}', "line 2: not JSON .*unicode"),
        (json.dumps({**GOOD, "language": "\ud800"}).encode(), "line 2: "),
        ({**GOOD, "anwser": "2"}, "line 2: anwser: no such column"),
        ({**GOOD, "n_tokens": "5"}, "line 2: n_tokens: .*integer, got '5'"),
        ({**GOOD, "n_tokens": 2**31}, "line 2: n_tokens: "),
        ({**GOOD, "n_tokens": True}, "line 2: n_tokens: "),
        ({**GOOD, "category": "maths"}, "line 2: category: .*'math'.*got 'maths'"),
        ({**GOOD, "messages": []}, "line 2: messages: "),
        ({**GOOD, "messages": "1+1?"}, "line 2: messages: .*array, got '1[+]1[?]'"),
        ({**GOOD, "messages": [{"role": "user"}]}, r"line 2: messages\.0\.content: missing"),
        ({**GOOD, "messages": [{"role": "me", "content": ""}]}, r"line 2: messages\.0\.role: .*got 'me'"),
        ({**GOOD, "messages": [{"role": "user", "content": "", "x": 1}]}, r"line 2: messages\.0\.x: no such column"),
        ({"category": "math"}, "line 2: messages: missing"),
        (GOOD, "line 2: same question_id as line 1"),
    ],
)
def test_import_bad_question_is_named_by_line_and_nothing_is_published(tmp_path, line, says):
    message = refusal(tmp_path, GOOD, line)
    assert "nothing was imported" in message
    assert re.search(says, message), message


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sample_index": -1}, "sample_index: "),
        ({"round": 0}, "round: "),
        ({"finish_reason": "eos"}, "finish_reason: "),
        ({"prompt_kind": "x"}, "prompt_kind: "),
        ({"seed": 2**63}, "seed: "),
        ({}, "same question_id, model, prompt_kind, round, sample_index as line 1"),
    ],
)
def test_import_bad_response_is_named(tmp_path, changes, says):
    assert f"line 2: {says}" in refusal(tmp_path, SPOKEN, {**SPOKEN, **changes}, name="responses")


def test_import_many_bad_lines_five_are_shown_and_all_are_counted(tmp_path):
    message = refusal(tmp_path, *[b"{"] * 9)
    assert "line 5: " in message
    assert "line 6: " not in message
    assert "(9 bad lines in all)" in message


def test_import_empty_file_is_refused(tmp_path):
    assert "the file is empty" in refusal(tmp_path, b"")


def test_import_corrected_file_after_a_refusal_succeeds(tmp_path):
    refusal(tmp_path, b"{")
    assert import_file(file_of(tmp_path, GOOD), "questions", output_of(tmp_path)).rows == 1


def test_import_no_such_file_is_missing(tmp_path):
    with pytest.raises(MissingInput, match="nowhere.jsonl: no such file; give one file of rows"):
        import_file(str(tmp_path / "nowhere.jsonl"), "questions", output_of(tmp_path))


@pytest.mark.parametrize("name", [".", "rows.csv", "rows.parquet"])
def test_import_file_of_another_format_is_refused(tmp_path, name):
    with pytest.raises(BadConfig, match="questions are imported from JSON Lines"):
        import_file(str(tmp_path / name), "questions", output_of(tmp_path))


def test_import_compressed_file_gives_the_same_rows(tmp_path):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(GOOD).encode()))
    import_file(str(path), "questions", output_of(tmp_path))
    assert [row.reference_answer for row in read(output_of(tmp_path), Question)] == ["2"]


def test_import_file_cut_off_is_named_and_nothing_is_published(tmp_path):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(GOOD).encode())[:-9])
    with pytest.raises(BadRows, match="Truncated"):
        import_file(str(path), "questions", output_of(tmp_path))


def test_import_other_row_type_is_refused(tmp_path):
    with pytest.raises(BadConfig, match="--as sft: rows are imported as questions, responses, am-1.4m"):
        import_file(file_of(tmp_path, GOOD), "sft", output_of(tmp_path))


@pytest.mark.parametrize("output", [".", "questions/mine", "questions/mine/1"])
def test_import_to_a_directory_with_other_files_touches_none_of_them(tmp_path, monkeypatch, output):
    """The input lies in the output: it was deleted once, with everything else below."""
    directory = tmp_path / output
    (directory / "sub").mkdir(parents=True)
    (directory / "sub" / "thesis.tex").write_text("thesis")
    path = file_of(directory, GOOD)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadConfig, match="nothing was touched"):
        import_file(path, "questions", output)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_import_with_a_forgotten_version_leaves_all_versions(tmp_path):
    for version in (1, 2):
        import_file(file_of(tmp_path, GOOD), "questions", f"{tmp_path}/questions/questions/{version}/1")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadConfig, match="which no run of this output wrote"):
        import_file(file_of(tmp_path, GOOD), "questions", f"{tmp_path}/questions/questions/1")
    assert sorted(tmp_path.rglob("*")) == before
