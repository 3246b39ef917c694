"""Pushed to a hub on loopback, and read there again."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.errors import BadConfig, MissingInput
from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.execution.execute import execute
from stillhouse.models import resolving
from stillhouse.models.references import parse
from stillhouse.registry.publication import publish
from stillhouse.stages import report, sft
from stillhouse.vocabulary.rows import Question, Selected
from tests.services.models.conftest import hub

__all__ = ["hub"]
SAMPLING = {"engine": "transformers", "max_tokens": 1, "system_prompt": "none", "suffix": "none"}


@pytest.fixture
def token(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_good_token")


@pytest.fixture
def trained(checkpoint, tmp_path, hub):
    """An sft artifact that was made of a hub model, and its report."""
    commit = hub.add("me/base", checkpoint)
    root = f"{tmp_path.as_uri()}/store"
    execute(sft, sft.Config(max_steps=0), {"checkpoint": "hf://me/base"}, f"{root}/sft/mine/1", models=resolving)
    config = report.Config(benchmarks=("arithmetic",), samples=1, **SAMPLING)
    execute(report, config, {"checkpoint": f"{root}/sft/mine/1"}, f"{root}/report/mine/1", models=resolving)
    return f"{root}/sft/mine/1", f"{root}/report/mine/1", commit


def test_publish_model_with_its_card_can_be_loaded_from_the_hub(trained, hub, token):
    uri, measured, base = trained
    published = publish(uri, "hf://me/mine", report=measured)
    files = hub.repos["models/me/mine"].commits[published.commit]
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= files.keys()
    assert published.files == len(files)
    directory = resolving.materialise(resolving.pin(parse("hf://me/mine")))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(directory), AutoTokenizer.from_pretrained(directory)
    assert model.get_input_embeddings().num_embeddings == len(tokenizer)
    card = files["README.md"].decode()
    header = yaml.safe_load(card.split("---")[1])
    assert header["base_model"] == ["me/base"]
    assert header["model-index"][0]["results"][0]["dataset"]["name"] == "arithmetic"
    assert f"checkpoint: hf://me/base@{base}" in card
    assert "| arithmetic | 1 | 0." in card
    assert "/store/" not in card


def test_publish_again_is_one_more_commit_and_a_branch_is_made(trained, hub, token):
    first = publish(trained[0], "hf://me/mine", private=True)
    second = publish(trained[0], "hf://me/mine@night", report=trained[1])
    repo = hub.repos["models/me/mine"]
    assert repo.private
    assert repo.branches == {"main": first.commit, "night": second.commit}


def test_publish_rows_as_a_data_set_with_its_card(tmp_path, hub, token):
    root = f"{tmp_path.as_uri()}/store"
    testing.publish(testing.questions(3), Question, f"{root}/questions/q/1")
    published = publish(f"{root}/questions/q/1", "hf://me/rows")
    files = hub.repos["datasets/me/rows"].commits[published.commit]
    assert (published.kind, published.files) == ("dataset", 3)
    assert files.keys() == {"conversations/train/part-00000.parquet", "README.md", "SHA256SUMS"}
    assert published.url.endswith("/datasets/me/rows")
    [config] = yaml.safe_load(files["README.md"].decode().split("---")[1])["configs"]
    assert config["data_files"][0]["path"].startswith("conversations/train/")


@dataclass(frozen=True, kw_only=True)
class OfQuestions(StageInputs):
    questions: Path


def test_publish_selected_examples_of_several_splits_as_a_folder_with_their_card(tmp_path, hub, token):
    root, asked = f"{tmp_path.as_uri()}/store", testing.questions(4)
    testing.publish(asked, Question, f"{root}/questions/q/1")
    splits = zip(asked, ("sft_1", "sft_1", "rl", "rl"), strict=True)
    rows = [testing.selected(row, split, example_id=row.question_id) for row, split in splits]

    def run(config, inputs):
        tables.write(inputs.output, rows, Selected)
        return Outputs()

    stage = SimpleNamespace(__name__="selected", __doc__=None, Config=testing.Config, Inputs=OfQuestions, run=run)
    execute(stage, testing.Config(content="x"), {"questions": f"{root}/questions/q/1"}, f"{root}/selected/s/1")
    published = publish(f"{root}/selected/s/1", "hf://me/rows.v1", form="messages")
    files = hub.repos["datasets/me/rows.v1"].commits[published.commit]
    parts = {f"messages/{split}/part-00000.parquet" for split in ("sft_1", "rl")}
    assert files.keys() == {*parts, "README.md", "SHA256SUMS", "dataset_info.json"}
    assert published.files == len(files)
    assert "load_dataset('rows.v1', 'messages', split='sft_1')" in files["README.md"].decode()


def test_publish_without_a_token_says_so(trained, monkeypatch):
    monkeypatch.setattr("stillhouse.registry.publication.get_token", lambda: None)
    with pytest.raises(BadConfig, match="there is no token; set HF_TOKEN"):
        publish(trained[0], "hf://me/mine")


def test_publish_with_an_unknown_token_says_so_without_showing_it(trained, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong_secret")
    with pytest.raises(MissingInput, match="does not know the token") as caught:
        publish(trained[0], "hf://me/mine")
    assert "wrong_secret" not in str(caught.value)


@pytest.mark.parametrize("target", ["me/mine", "/somewhere", "hf://mine"])
def test_publish_to_what_is_no_repository_is_refused(trained, target, token):
    with pytest.raises(BadConfig, match="hf://ORG/NAME"):
        publish(trained[0], target)
