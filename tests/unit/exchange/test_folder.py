import json
import subprocess
from dataclasses import replace

import datasets
import pyarrow.parquet as pq
import pytest
import yaml
from trl.data_utils import is_conversational, maybe_apply_chat_template

from stillhouse import testing
from stillhouse.errors import NothingToDo, StaleOutput
from stillhouse.exchange import folder
from stillhouse.exchange.export import export
from stillhouse.exchange.importing import import_release
from stillhouse.exchange.release_forms import FORMS
from stillhouse.vocabulary.rows import Question, Selected

ASKED = [replace(each, source="toy", license="MIT") for each in testing.questions(5)]
CODE = testing.question("Write f.", None, category="code", test_cases='{"assert_case": ["assert f()"]}', source="kata")
SYSTEM = {"role": "system", "content": "Be brief."}
TURNS = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "1 + 1?"}]
TALK = testing.question(messages=[SYSTEM, *TURNS], source="talk")
ANSWER = {"role": "assistant", "content": "<think>x</think><answer>2</answer>"}


@pytest.fixture(scope="module")
def uris(tmp_path_factory):
    """Selected examples of two splits with responses, and of one with prompts alone."""
    root = tmp_path_factory.mktemp("house")
    rows = [testing.selected(each, "sft_1", example_id=f"s{number}") for number, each in enumerate(ASKED)]
    rows += [
        testing.selected(ASKED[0], "anneal", example_id="a"),
        testing.selected(TALK, "anneal", messages=[SYSTEM, *TURNS, ANSWER]),
    ]
    rows += [
        testing.selected(each, "rl_1", messages=each.messages, model=None, example_id=each.question_id) for each in (ASKED[1], CODE)
    ]
    testing.publish([*ASKED, CODE, TALK], Question, f"{root}/questions/toy/1")
    testing.publish(rows, Selected, f"{root}/selected/toy/1")
    return [f"{root}/selected/toy/1", f"{root}/questions/toy/1"]


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a config and a split as a user of Hugging Face does."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return lambda form, split: datasets.load_dataset(str(tmp_path / "out"), form, split=split, cache_dir=str(tmp_path / "cache"))


def test_export_folder_has_a_config_per_form_and_a_split_per_split(uris, tmp_path, load):
    made = export(uris, ["am-40m", "messages", "verl"], f"{tmp_path}/out")
    assert made.rows == {
        ("am-40m", "sft_1"): 5, ("messages", "sft_1"): 5, ("am-40m", "anneal"): 2, ("messages", "anneal"): 2,
        ("am-40m", "rl_1"): 2, ("verl", "rl_1"): 2,
    }  # fmt: skip
    for (form, split), count in made.rows.items():
        assert len(load(form, split)) == count
    assert set(load("messages", "anneal")["split"]) == {"anneal"}
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "out", check=True).returncode == 0


def test_export_folder_says_which_rows_a_form_leaves_out(uris, tmp_path):
    made = export(uris, ["messages", "verl"], f"{tmp_path}/out")
    assert made.left_out == {"messages": "2 rows without a response", "verl": "7 rows with a response"}
    assert "  messages: left out 2 rows without a response" in made.summary("out")
    assert "`verl` leaves out 7 rows with a response.\n" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("empty", ["prompts", "verl"])
@pytest.mark.parametrize("form", ["am-1.4m", "am-40m", "conversations", "messages", "alpaca", "sharegpt"])
def test_export_folder_names_the_form_without_a_row(uris, tmp_path, form, empty):
    made = export(uris, [form, empty], f"{tmp_path}/out", splits=["sft_1"])
    assert list(made.rows) == [(form, "sft_1")]
    assert f"  {empty}: no row; left out 5 rows with a response" in made.summary("out")


@pytest.mark.parametrize(("output", "split"), [("out", "sft_1"), ("out.jsonl", "sft_1"), ("out", "rl_1"), ("out.jsonl", "rl_1")])
def test_export_where_no_row_fits_says_which_forms_take_them(uris, tmp_path, output, split):
    form, rows = ("verl", "5 rows with a response") if split == "sft_1" else ("alpaca", "2 rows without a response")
    with pytest.raises(NothingToDo, match=rf"no row to export as {form} \({form} leaves out {rows}; responses go out as messages"):
        export(uris, form, f"{tmp_path}/{output}", splits=[split])
    assert not (tmp_path / output).exists()


def test_export_folder_forms_are_those_of_trl(uris, tmp_path, load):
    export(uris, ["messages", "prompts"], f"{tmp_path}/out")

    class Tokenizer:
        chat_template = ""

        def apply_chat_template(self, messages, *, tokenize=False, **options):
            return "|".join(f"{message['role']}:{message['content']}" for message in messages)

    examples, prompts = load("messages", "anneal"), load("prompts", "rl_1")
    assert is_conversational(examples[0])
    assert is_conversational(prompts[0])
    text = maybe_apply_chat_template({"messages": examples[1]["messages"]}, Tokenizer())["text"]
    assert text == "system:Be brief.|user:Hello|assistant:Hi|user:1 + 1?|assistant:" + ANSWER["content"]
    assert (prompts[0]["reference_answer"], prompts[1]["test_cases"]) == ("8", CODE.test_cases)


def test_export_folder_verl_form_is_its_rl_data(uris, tmp_path, load):
    export(uris, ["verl"], f"{tmp_path}/out")
    first, second = load("verl", "rl_1")
    assert list(first) == ["data_source", "prompt", "ability", "reward_model", "extra_info"]
    assert first["reward_model"] == {"style": "rule", "ground_truth": "8"}
    assert (second["ability"], second["reward_model"]["ground_truth"]) == ("code", CODE.test_cases)
    assert (first["prompt"], first["extra_info"]["split"]) == (ASKED[1].messages, "rl_1")


def test_export_folder_llama_factory_entries_name_columns_that_are_there(uris, tmp_path):
    export(uris, ["messages", "alpaca", "sharegpt", "verl"], f"{tmp_path}/out")
    entries = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    assert set(entries) == {f"out-{form}-{split}" for form in ("messages", "alpaca", "sharegpt") for split in ("sft_1", "anneal")}
    for entry in entries.values():
        (path,) = (tmp_path / "out" / entry["file_name"]).glob("*.parquet")
        assert set(entry["columns"].values()) <= set(pq.read_schema(path).names)


def test_export_folder_alpaca_and_sharegpt_rows_of_a_conversation(uris, tmp_path, load):
    export(uris, ["alpaca", "sharegpt"], f"{tmp_path}/out")
    row = load("alpaca", "anneal")[1]
    assert (row["instruction"], row["system"], row["history"]) == ("1 + 1?", "Be brief.", [["Hello", "Hi"]])
    spoken = load("sharegpt", "anneal")[1]["conversations"]
    assert [turn["from"] for turn in spoken] == ["human", "gpt", "human", "gpt"]


def test_export_folder_in_several_files_gives_every_row_once(uris, tmp_path, load):
    made = folder.export_folder(uris, [FORMS["messages"]], f"{tmp_path}/out", ["sft_1"], merge=False, rows_per_file=2)
    names = sorted(path.name for path in (tmp_path / "out" / "messages" / "sft_1").iterdir())
    assert names == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    assert made.files == len(names) + 3
    assert load("messages", "sft_1")["question_id"] == [each.question_id for each in ASKED]


def test_export_folder_split_name_is_one_that_hugging_face_allows(tmp_path, load):
    testing.publish(ASKED, Question, f"{tmp_path}/questions/x/1")
    testing.publish([testing.selected(ASKED[0], "sft-1.a", example_id="s")], Selected, f"{tmp_path}/selected/x/1")
    made = export([f"{tmp_path}/selected/x/1", f"{tmp_path}/questions/x/1"], ["messages"], f"{tmp_path}/out")
    assert list(made.rows) == [("messages", "sft_1_a")]
    assert load("messages", "sft_1_a")[0]["split"] == "sft-1.a"


def test_export_folder_merged_has_each_example_once(uris, tmp_path, load):
    made = export(uris, ["messages"], f"{tmp_path}/out", merge=True)
    assert made.rows == {("messages", "train"): 6}
    assert len(load("messages", "train")) == 6


def test_export_folder_card_has_lineage_licences_and_typed_configs(uris, tmp_path):
    export(uris, ["am-1.4m", "messages"], f"{tmp_path}/out")
    card = (tmp_path / "out" / "README.md").read_text()
    header = yaml.safe_load(card.split("---\n")[1])
    assert "&id" not in card
    assert [config["config_name"] for config in header["configs"]] == ["am-1.4m", "messages"]
    assert [each["config_name"] for each in header["dataset_info"]] == ["am-1.4m", "messages"]
    for line in ("| toy | MIT | 7 |", "| kata | CC0-1.0 | 1 |", "| messages | sft_1 | 5 |", "- selected/toy/1: 9 rows"):
        assert line in card


def test_export_folder_again_changes_nothing_and_another_release_is_refused(uris, tmp_path):
    first = export(uris, ["messages"], f"{tmp_path}/out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert export(uris, ["messages"], f"{tmp_path}/out") == first
    with pytest.raises(StaleOutput, match="another file is there"):
        export(uris, ["messages", "verl"], f"{tmp_path}/out")
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_export_folder_of_a_public_schema_imports_again(uris, tmp_path):
    export(uris, ["am-40m"], f"{tmp_path}/out", ["sft_1"])
    made = import_release([f"{tmp_path}/out/am-40m/sft_1/part-00000.parquet"], f"{tmp_path}/{{stage}}/x/1", form="am-40m")
    assert made["questions"].rows == made["responses"].rows == 5
