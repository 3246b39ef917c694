from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from stillhouse import testing
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import tables
from stillhouse.artifacts.digests import sha256
from stillhouse.errors import BadConfig, BadRows, MissingInput, NothingToDo, StaleOutput, StoreRefused
from stillhouse.exchange import files
from stillhouse.exchange.export import export
from stillhouse.exchange.importing import import_release
from stillhouse.execution.execute import execute
from stillhouse.stages import graded, screened, selected, verified
from stillhouse.vocabulary.rows import Graded, Question, Response, Screened, Selected, Verified

ASKED = [
    replace(each, source=source, license=licence, difficulty_label="hard")
    for each, source, licence in zip(testing.questions(4), ["a", "a", "b", "b"], ["MIT", "MIT", "MIT", None], strict=True)
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A path from questions to selected: four questions, two models, two samples each; the second sample of the second is wrong."""
    root = tmp_path_factory.mktemp("house")
    said = [
        testing.response(asked, answer=None if index == 0 else "-1", model=model, sample_index=index)
        for asked in ASKED for model in ("weak", "strong") for index in (0, 1)
    ]  # fmt: skip
    testing.publish(ASKED, Question, f"{root}/questions/toy/1")
    testing.publish(said, Response, f"{root}/responses/toy/1")
    given = {"questions": [f"{root}/questions/toy/1"], "responses": [f"{root}/responses/toy/1"]}
    execute(verified, verified.Config(), given, f"{root}/verified/toy/1")
    execute(screened, screened.Config(max_ngram_count=None), given, f"{root}/screened/toy/1")
    graded_inputs = {"questions": given["questions"], "verified": [f"{root}/verified/toy/1"]}
    execute(graded, graded.Config(small="weak", medium="strong"), graded_inputs, f"{root}/graded/toy/1")
    parts = {name: [f"{root}/{name}/toy/1"] for name in ("questions", "responses", "verified", "screened", "graded")}
    execute(selected, selected.Config(teacher="strong"), parts, f"{root}/selected/toy/1")
    return root


def lines(path: Path) -> list[dict]:
    return [row for _, row in files.objects(path)]


def test_export_selected_is_joined_to_all_that_is_known(root, tmp_path):
    made = export([f"{root}/selected/toy/1"], "am-40m", f"{tmp_path}/out.jsonl.zst", merge=True)
    found = lines(tmp_path / "out.jsonl.zst")
    assert made.rows == len(found) == 4
    assert made.sha256 == sha256(tmp_path / "out.jsonl.zst")
    assert made.lost == {"license": 3, "language": 4, "difficulty_label": 4}
    assert found[0] == {
        "question": "What is 0 + 7?", "answer": "<think>It must be 7.</think><answer>7</answer>", "question_source": "a",
        "answer_source": "stillhouse:toy", "category": "math", "ground_truth": "7", "test_case": None,
        "instruction_constrain": None, "pass_rate_r1": None, "pass_rate_7b": None, "pass_rate_1.5b": None,
        "pass_rate_strong": 0.5, "pass_rate_weak": 0.5, "verify_score": 1.0, "ppl": None, "model_name": "strong",
    }  # fmt: skip


def test_export_perplexity_is_found_through_the_response(root, tmp_path):
    said = list(tables.read(root / "responses" / "toy" / "1", Response))
    testing.publish(
        [testing.screened(each, perplexity=float(place)) for place, each in enumerate(said)], Screened, f"{tmp_path}/screened/x/1"
    )
    export([f"{root}/selected/toy/1", f"{tmp_path}/screened/x/1"], "conversations", f"{tmp_path}/out.jsonl", merge=True)
    wanted = [place for place, each in enumerate(said) if each.model == "strong" and each.sample_index == 0]
    assert [row["conversations"][-1]["info"]["ppl"] for row in lines(tmp_path / "out.jsonl")] == wanted


def test_export_split_takes_its_examples_and_all_splits_give_an_example_once(root, tmp_path):
    splits = [row.split for row in tables.read(root / "selected" / "toy" / "1", Selected)]
    assert (splits.count("sft_1"), splits.count("anneal")) == (4, 4)
    for name, wanted in (("a", ["anneal"]), ("b", [])):
        assert export([f"{root}/selected/toy/1"], "am-1.4m", f"{tmp_path}/{name}/out.jsonl", wanted, merge=True).rows == 4


def test_export_example_that_a_split_holds_twice_comes_twice(tmp_path):
    asked = ASKED[0]
    twice = [testing.selected(asked, example_id=name) for name in "ab"]
    testing.publish([asked], Question, f"{tmp_path}/questions/x/1")
    testing.publish([*twice, testing.selected(asked, "anneal", example_id="c")], Selected, f"{tmp_path}/selected/x/1")
    uris = [f"{tmp_path}/selected/x/1", f"{tmp_path}/questions/x/1"]
    assert export(uris, "am-40m", f"{tmp_path}/out.jsonl", merge=True).rows == 2


def test_export_responses_gives_all_of_them_and_questions_without_one(root, tmp_path):
    lone = testing.question("Why?", None, category="other")
    testing.publish([lone, *ASKED], Question, f"{tmp_path}/questions/x/1")
    testing.publish(
        [testing.response(ASKED[1]), testing.response(ASKED[0], prompt_kind="summary")], Response, f"{tmp_path}/responses/x/1"
    )
    export([f"{tmp_path}/questions/x/1", f"{tmp_path}/responses/x/1"], "conversations", f"{tmp_path}/out.jsonl")
    told = [(row["conversations"][0]["value"], len(row["conversations"])) for row in lines(tmp_path / "out.jsonl")]
    assert told == [("Why?", 1), ("What is 0 + 7?", 1), ("What is 1 + 7?", 2), ("What is 2 + 7?", 1), ("What is 3 + 7?", 1)]


def test_export_level_splits_are_questions_alone(tmp_path):
    asked = ASKED[0]
    testing.publish([asked], Question, f"{tmp_path}/questions/x/1")
    testing.publish([testing.selected(asked, "rl_1", messages=asked.messages, model=None)], Selected, f"{tmp_path}/selected/x/1")
    export([f"{tmp_path}/selected/x/1", f"{tmp_path}/questions/x/1"], "am-40m", f"{tmp_path}/out.jsonl")
    (row,) = lines(tmp_path / "out.jsonl")
    assert (row["question"], row["answer"], row["model_name"], row["ground_truth"]) == ("What is 0 + 7?", None, None, "7")


@pytest.mark.parametrize("form", ["am-1.4m", "am-40m", "conversations"])
def test_export_of_our_own_path_imports_again_but_for_what_is_declared_lost(root, tmp_path, form):
    """Our responses through each schema: ids, texts and keys are the same, of the rest what ``lost`` does not name."""
    uris = [f"{root}/{name}/toy/1" for name in ("verified", "graded")]
    made = export(uris, form, f"{tmp_path}/out.jsonl.gz")
    import_release([f"{tmp_path}/out.jsonl.gz"], f"{tmp_path}/{{stage}}/x/1", form=form)
    asked = list(tables.read(tmp_path / "questions" / "x" / "1", Question))
    assert asked == [replace(each, license=None, language=None, difficulty_label=None) for each in ASKED]
    said = list(tables.read(tmp_path / "responses" / "x" / "1", Response))
    sampling_id = "imported" if "sampling_id" in made.lost else "toy"
    before = list(tables.read(root / "responses" / "toy" / "1", Response))
    assert said == [replace(each, prompt_tokens=0, completion_tokens=0, sampling_id=sampling_id) for each in before]
    assert (manifests.find(f"{tmp_path}/verified/x/1") is None) == ("verify_score" in made.lost)
    assert (manifests.find(f"{tmp_path}/graded/x/1") is None) == ("pass_rates" in made.lost)


def test_export_card_has_the_header_that_hugging_face_reads_and_the_counts(root, tmp_path):
    made = export([f"{root}/selected/toy/1"], "am-1.4m", f"{tmp_path}/out.jsonl.zst", merge=True)
    card = (tmp_path / "README.md").read_text()
    header = yaml.safe_load(card.split("---\n")[1])
    assert [each["name"] for each in header.pop("dataset_info")["features"]] == ["messages"]
    assert header == {
        "license": "other", "license_name": "mit", "language": ["en"], "task_categories": ["text-generation"],
        "size_categories": ["n<1K"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "out.jsonl.zst"}]}],
    }  # fmt: skip
    assert made.sha256 in card
    for line in ("| math | 4 |", "| a | 2 |", "| strong | 4 |", "| MIT | 3 |", "| not stated | 1 |"):
        assert line in card
    assert "no column for: category (4 rows), sampling_id (4 rows), verify_score (4 rows), pass_rates (4 rows), license (3" in card
    fingerprint = manifests.load(f"{root}/questions/toy/1").fingerprint
    assert f"- questions/toy/1: 4 rows, `{fingerprint}`" in card
    assert str(root) not in card


@pytest.mark.parametrize("form", ["am-1.4m", "am-40m", "conversations"])
def test_export_folder_is_a_data_set_that_hugging_face_loads(tmp_path, monkeypatch, form):
    """Tests, scores and another model's pass rate begin after the megabytes that the loader would take the types from."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    asked = [testing.question(f"{number}{'?' * 4000}", None, category="other") for number in range(3000)]
    last = testing.question("Write f.", None, category="code", test_cases="{}", source=None)
    said = testing.response(last, "f")
    testing.publish([*asked, last], Question, f"{tmp_path}/questions/x/1")
    testing.publish([said], Response, f"{tmp_path}/responses/x/1")
    testing.publish([testing.verified(said)], Verified, f"{tmp_path}/verified/x/1")
    testing.publish([testing.graded(last)], Graded, f"{tmp_path}/graded/x/1")
    uris = [f"{tmp_path}/{name}/x/1" for name in ("questions", "responses", "verified", "graded")]
    export(uris, form, f"{tmp_path}/out/out.jsonl.zst")
    loaded = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    wanted = lines(tmp_path / "out" / "out.jsonl.zst")
    columns = dict.fromkeys(loaded.column_names)
    assert [loaded[0], loaded[len(loaded) - 1]] == [columns | wanted[0], columns | wanted[-1]]
    assert len(loaded) == 3001


def test_export_again_changes_nothing_and_another_file_is_not_overwritten(root, tmp_path):
    first = export([f"{root}/selected/toy/1"], "am-40m", f"{tmp_path}/out.jsonl", ["sft_1"])
    assert export([f"{root}/selected/toy/1"], "am-40m", f"{tmp_path}/out.jsonl", ["sft_1"]) == first
    with pytest.raises(StaleOutput, match="out.jsonl: another file is there"):
        export([f"{root}/selected/toy/1"], "conversations", f"{tmp_path}/out.jsonl", ["sft_1"])
    with pytest.raises(StaleOutput, match="README.md: another file"):
        export([f"{root}/selected/toy/1"], "am-40m", f"{tmp_path}/other.jsonl", ["sft_1"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "out.jsonl"]


@pytest.mark.parametrize(
    ("uris", "form", "output", "splits", "error", "says"),
    [
        (["selected"], "am-40", "out.jsonl", [], BadConfig, "did you mean am-40m?"),
        (["selected"], "am-40m", "out.txt", [], BadConfig, "name it FILE.jsonl.zst"),
        (["selected"], "am-40m", "folder.jsonl", [], BadConfig, "a directory"),
        (["selected"], "am-40m", "out.jsonl", [], BadConfig, "selected has sft_1, anneal; choose one by --split"),
        (["selected"], ["am-40m", "verl"], "out.jsonl", ["sft_1"], BadConfig, "a file has one form"),
        (["selected"], "verl", "out", ["sft_1"], NothingToDo, "no row to export as verl"),
        (["selected"], "am-40m", "out.jsonl", ["sft_9"], NothingToDo, "no row to export in split sft_9"),
        (["responses", "questions"], "am-40m", "out.jsonl", ["sft_1"], BadConfig, "leave --split out"),
        (["responses"], "am-40m", "out.jsonl", [], BadRows, "not in any questions artifact"),
        (["nowhere"], "am-40m", "out.jsonl", [], MissingInput, "nothing is published there"),
        (["sft"], "am-40m", "out.jsonl", [], BadConfig, "is a sft artifact; export selected"),
    ],
)
def test_export_wrong_use_is_refused_and_nothing_is_written(root, tmp_path, uris, form, output, splits, error, says):
    (tmp_path / "folder.jsonl").mkdir()
    if uris == ["sft"]:
        testing.publish_files({"weights": b""}, "sft", f"{root}/sft/toy/1")
    with pytest.raises(error, match=says):
        export([f"{root}/{name}/toy/1" for name in uris], form, f"{tmp_path}/{output}", splits)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.jsonl"]


def test_export_below_a_file_is_refused(root, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreRefused, match="where no file has the name of a directory"):
        export([f"{root}/selected/toy/1"], "am-40m", f"{tmp_path}/file/out.jsonl", ["sft_1"])


def test_export_origin_that_was_made_anew_is_refused(tmp_path):
    testing.publish(ASKED, Question, f"{tmp_path}/questions/x/1")
    testing.publish([testing.response(ASKED[0])], Response, f"{tmp_path}/responses/x/1")
    inputs = {name: [f"{tmp_path}/{name}/x/1"] for name in ("questions", "responses")}
    execute(screened, screened.Config(), inputs, f"{tmp_path}/screened/x/1")
    made_anew = manifests.load(f"{tmp_path}/questions/x/1").model_copy(update={"fingerprint": "0" * 16})
    (tmp_path / "questions" / "x" / "1" / "manifest.json").write_bytes(manifests.serialised(made_anew))
    with pytest.raises(StaleOutput, match="export one run"):
        export([f"{tmp_path}/screened/x/1"], "am-40m", f"{tmp_path}/out/out.jsonl")
