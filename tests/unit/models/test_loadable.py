import json
import re

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import save, save_file

from stillhouse.errors import BadConfig, MissingInput
from stillhouse.models import loadable
from stillhouse.models.weight_files import INDEX, chosen
from stillhouse.sampling.config import Sampling

CONFIG = json.dumps({"model_type": "llama"})
WEIGHTS = save({"weight": np.zeros((4, 4), np.float32)})


@pytest.fixture
def model(tmp_path):
    (tmp_path / "config.json").write_text(CONFIG)
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    (tmp_path / "tokenizer.json").write_text("{}")
    return tmp_path


def test_require_takes_a_whole_model(model):
    loadable.require(model, "/m")
    assert loadable.gguf_arguments(model) == {}
    assert loadable.weights_path(model) == model


def test_require_takes_shards_with_their_index(model):
    (model / "model.safetensors").unlink()
    for number in (1, 2):
        save_file({f"w{number}": np.zeros(3, np.float32)}, model / f"model-0000{number}-of-00002.safetensors")
    files = {f"w{number}": f"model-0000{number}-of-00002.safetensors" for number in (1, 2)}
    (model / INDEX).write_text(json.dumps({"weight_map": files}))
    loadable.require(model, "/m")
    (model / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(MissingInput, match=r"names model-00002-of-00002.safetensors, which is missing \(1 of 2 are\)"):
        loadable.require(model, "/m")


@pytest.mark.parametrize("kept", [0, 4, 20, len(WEIGHTS) - 1])
def test_require_truncated_safetensors_are_refused(model, kept):
    (model / "model.safetensors").write_bytes(WEIGHTS[:kept])
    with pytest.raises(MissingInput, match=r"model /m: model.safetensors .*cut short"):
        loadable.require(model, "/m")


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("tokenizer.json", None, "no tokenizer"),
        ("config.json", None, "no config.json"),
        ("config.json", "{", "not JSON"),
        ("config.json", "[]", "no model_type"),
        ("config.json", '{"model_type": "martian"}', "does not know its architecture martian"),
        (INDEX, '{"weight_map": 3}', "no index of shards"),
        (INDEX, "{", f"its {INDEX} is not JSON"),
        ("tokenizer.json", "", "its tokenizer.json is not JSON"),
        ("generation_config.json", "{", "its generation_config.json is not JSON"),
        ("generation_config.json", '{"eos_token_id": [2, "x"]}', "eos_token_id of its generation_config.json is .*; give a number"),
    ],
)
def test_require_of_what_cannot_be_loaded_is_refused_in_one_line(model, name, content, line):
    if content is None:
        (model / name).unlink()
    else:
        (model / name).write_text(content)
    with pytest.raises(MissingInput, match=line) as caught:
        loadable.require(model, "/m")
    assert "\n" not in str(caught.value)


def test_require_of_an_adapter_alone_says_how_to_name_its_base(model):
    (model / "config.json").unlink()
    (model / "adapter_config.json").write_text('{"base_model_name_or_path": "a/b"}')
    with pytest.raises(MissingInput, match=r"LoRA adapter; write the base before it, BASE\+ADAPTER \(it was trained on a/b\)"):
        loadable.require(model, "/m")


def test_require_takes_a_gguf_file_of_its_own(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    loadable.require(tmp_path, "/m")
    assert loadable.gguf_arguments(tmp_path) == {"gguf_file": "model.gguf"}
    assert loadable.weights_path(tmp_path) == tmp_path / "model.gguf"


CODE = json.dumps({"model_type": "martian", "auto_map": {"AutoModelForCausalLM": "modeling_martian.Martian"}})
COMMIT = "c" * 40


@pytest.fixture
def coded(tmp_path, monkeypatch):
    """A hub model in the cache whose architecture is code of its own."""
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    directory = tmp_path / "hub" / "models--me--martian" / "snapshots" / COMMIT
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(CODE)
    return directory


def test_is_trusted_code_of_a_model_runs_only_if_the_recipe_names_its_commit(coded):
    named = f"hf://me/martian@{COMMIT}"
    assert loadable.is_trusted(coded, [named])
    with pytest.raises(BadConfig, match=re.escape(f"Python code of its own; to run it, set trusted_code: [{named}]")):
        loadable.is_trusted(coded, [f"hf://me/martian@{'d' * 40}"])


def test_is_trusted_code_of_a_directory_never_runs(model):
    (model / "config.json").write_text(CODE)
    with pytest.raises(BadConfig, match="only that of a hub model at a commit may be trusted"):
        loadable.is_trusted(model, [f"hf://me/martian@{COMMIT}"])


@pytest.mark.parametrize("entry", ["hf://me/martian", "hf://me/martian@main", f"/me/martian@{COMMIT}", "*"])
def test_trusted_code_without_a_whole_commit_is_refused(entry):
    with pytest.raises(ValidationError, match="trusted_code"):
        Sampling(trusted_code=(entry,))


def test_require_of_an_index_alone_says_that_its_shards_are_missing(model):
    (model / "model.safetensors").unlink()
    (model / INDEX).write_text(json.dumps({"weight_map": {"w": "model-00001-of-00001.safetensors"}}))
    with pytest.raises(MissingInput, match="names model-00001-of-00001.safetensors, which is missing"):
        loadable.require(model, "/m")
    with pytest.raises(MissingInput, match=f"{INDEX} names shards of its weights, and none of them is there"):
        chosen(["config.json", INDEX], "/m")
