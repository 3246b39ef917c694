import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import tables
from stillhouse.errors import BadConfig, MissingInput, NothingToDo, StaleOutput, TooManyErrors
from stillhouse.exchange.importing import import_release
from stillhouse.vocabulary import ids, rows
from stillhouse.vocabulary.rows import Graded, Question, Response, Screened, Verified

ROW = {
    "question": "1+1?", "answer": "<think>so</think>\n<answer>2</answer>", "question_source": "NuminaMath", "category": "math",
    "ground_truth": "2", "model_name": "r1",
}  # fmt: skip


def release(directory: Path, *given: object, name: str = "release.jsonl") -> str:
    path = directory / name
    path.write_bytes(b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in given))
    return str(path)


def publish(directory: Path, *given: object, form: str = "am-40m", **settings: object) -> dict:
    return import_release([release(directory, *given)], f"{directory}/{{stage}}/x/1", form=form, **settings)


def read(directory: Path, row_type: type) -> list:
    name = next(name for name, each in rows.ROW_TYPES.items() if each is row_type)
    return list(tables.read(directory / name / "x" / "1", row_type))


def test_import_release_question_and_response_are_ours(tmp_path):
    made = publish(tmp_path, ROW, license="cc-by-nc-4.0")
    messages = [{"role": "user", "content": "1+1?"}]
    question_id = ids.question_id(messages, "2")
    asked, said = read(tmp_path, Question), read(tmp_path, Response)
    assert asked == [Question(question_id, "math", messages, "2", source="NuminaMath", license="cc-by-nc-4.0")]
    assert said == [Response(question_id, "r1", "question", 1, 0, ROW["answer"], "so", "2", "stop", 0, 0, 0, "imported")]
    assert list(made) == ["questions", "responses"]


def test_import_release_scores_perplexities_and_rates_become_artifacts_of_their_stages(tmp_path):
    scored = {**ROW, "verify_score": 0.5, "category": "code", "test_case": "{}"}
    made = publish(
        tmp_path, scored, {**scored, "verify_score": None, "ppl": 3.5}, {**ROW, "verify_score": 1.0, "pass_rate_r1": 0.25}
    )
    assert [(row.kind, row.verify_score, row.passed, row.method) for row in read(tmp_path, Verified)] == [
        ("partial", 0.5, False, "release"), ("error", None, None, "release"), ("correct", 1.0, True, "release"),
    ]  # fmt: skip
    assert [(row.perplexity, row.kept, row.structure_ok) for row in read(tmp_path, Screened)] == [
        (None, True, True), (3.5, True, True), (None, True, True),
    ]  # fmt: skip
    (grade,) = read(tmp_path, Graded)
    assert [(each["model"], each["n"], each["pass_rate"], each["cv"]) for each in grade.models] == [("DeepSeek-R1", 4, 0.25, None)]
    assert {name: sorted(each.inputs) for name, each in made.items()} == {
        "questions": [], "responses": ["questions"], "verified": ["questions", "responses"],
        "screened": ["questions", "responses"], "graded": ["questions"],
    }  # fmt: skip


def test_import_release_several_responses_of_a_model_are_numbered_over_all_files(tmp_path):
    files = [release(tmp_path, ROW, {**ROW, "model_name": "7b"}, name=f"{number}pass.jsonl") for number in (1, 2)]
    import_release(files, f"{tmp_path}/{{stage}}/x/1", form="am-40m")
    assert [(row.model, row.sample_index) for row in read(tmp_path, Response)] == [("r1", 0), ("7b", 0), ("r1", 1), ("7b", 1)]
    assert len(read(tmp_path, Question)) == 1


def test_import_release_questions_that_differ_in_any_column_keep_apart(tmp_path):
    publish(tmp_path, ROW, {**ROW, "question": "1+1? "}, {**ROW, "test_case": "{}"}, ROW)
    asked, said = read(tmp_path, Question), read(tmp_path, Response)
    assert len({row.question_id for row in asked}) == 3 == len(asked)
    assert asked[0].question_id == ids.question_id(asked[0].messages, "2")
    assert [row.question_id for row in said] == [*(row.question_id for row in asked), asked[0].question_id]
    assert [row.sample_index for row in said] == [0, 0, 0, 1]


def test_import_release_question_alone_that_is_repeated_is_counted(tmp_path):
    alone = {**ROW, "answer": None, "model_name": None}
    made = publish(tmp_path, alone, alone)
    assert list(made) == ["questions"]
    assert {name: made["questions"].metrics[name] for name in ("n_records", "n_questions", "n_repeated")} == {
        "n_records": 2, "n_questions": 1, "n_repeated": 1,
    }  # fmt: skip


def test_import_release_bad_rows_are_dropped_with_file_line_and_reason(tmp_path):
    made = publish(tmp_path, ROW, b"{", b"\xff", {**ROW, "category": "?"}, {"category": "math"}, max_bad_rate=0.8)
    dropped = pq.read_table(tmp_path / "questions" / "x" / "1" / "dropped").to_pylist()
    assert [(row["key"].rpartition("/")[2], row["reason"]) for row in dropped] == [
        ("release.jsonl:2", "bad_json"), ("release.jsonl:3", "bad_utf8"), ("release.jsonl:4", "bad_value"),
        ("release.jsonl:5", "bad_column"),
    ]  # fmt: skip
    assert made["questions"].dropped == {"bad_json": 1, "bad_utf8": 1, "bad_value": 1, "bad_column": 1}
    assert "'?' is not one of math" in dropped[2]["detail"]
    assert dropped[3]["detail"] == "question: missing"


@pytest.mark.parametrize("given", [[], [b"{"], [ROW, b"{"]])
def test_import_release_above_the_ceiling_fails_and_publishes_nothing(tmp_path, given):
    with pytest.raises(TooManyErrors, match="max_bad_rate allows 0.01"):
        publish(tmp_path, *given)
    assert not list(tmp_path.rglob("manifest.json"))


def test_import_release_without_any_row_is_refused_whatever_the_ceiling(tmp_path):
    with pytest.raises(NothingToDo, match="no row in the schema am-40m; dropped: {'bad_json': 1}"):
        publish(tmp_path, b"{", max_bad_rate=1)


def test_import_release_unknown_columns_are_counted(tmp_path):
    metrics = publish(tmp_path, {**ROW, "id 1": 7}, ROW)["questions"].metrics
    assert metrics["n_ignored/id 1"] == 1


def test_import_release_same_files_again_change_nothing_and_missing_artifacts_are_made(tmp_path):
    first = publish(tmp_path, ROW)
    shutil.rmtree(tmp_path / "responses" / "x" / "1")
    again = publish(tmp_path, ROW)
    assert again["questions"] == first["questions"]
    assert again["responses"].fingerprint == first["responses"].fingerprint
    assert len(read(tmp_path, Response)) == 1


def test_import_release_other_files_same_place_are_refused(tmp_path):
    publish(tmp_path, ROW)
    with pytest.raises(StaleOutput):
        publish(tmp_path, ROW, ROW)


def test_import_release_can_be_verified_again(tmp_path):
    from stillhouse.execution.execute import execute
    from stillhouse.stages import verified

    publish(tmp_path, {**ROW, "verify_score": 0.0}, {**ROW, "answer": "<think>so</think><answer>3</answer>", "verify_score": 1.0})
    inputs = {name: [f"{tmp_path}/{name}/x/1"] for name in ("questions", "responses")}
    execute(verified, verified.Config(), inputs, f"{tmp_path}/verified/again/1")
    again = tables.read(tmp_path / "verified" / "again" / "1", Verified)
    assert [(row.kind, row.passed) for row in again] == [("correct", True), ("wrong", False)]


def test_import_release_category_of_the_caller_is_taken(tmp_path):
    publish(tmp_path, {**ROW, "category": "chemistry"}, category="science")
    assert read(tmp_path, Question)[0].category == "science"


@pytest.mark.parametrize(
    ("output", "settings", "error", "says"),
    [
        ("questions/x/1", {}, BadConfig, r"write ROOT/\{stage\}/NAME/VERSION"),
        ("{stage}/x/1", {"category": "maths"}, BadConfig, "category: .*'maths'"),
        ("{stage}/x/1", {"max_bad_rate": 2}, BadConfig, "max_bad_rate: "),
    ],
)
def test_import_release_wrong_use_is_refused(tmp_path, output, settings, error, says):
    with pytest.raises(error, match=says):
        import_release([release(tmp_path, ROW)], f"{tmp_path}/{output}", form="am-40m", **settings)


def test_import_release_missing_file_is_refused(tmp_path):
    with pytest.raises(MissingInput, match="no such file"):
        import_release([str(tmp_path / "x.jsonl")], f"{tmp_path}/{{stage}}/x/1", form="am-40m")
    assert manifests.find(f"{tmp_path}/questions/x/1") is None
