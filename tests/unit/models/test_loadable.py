import json

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from stillhouse.errors import MissingInput
from stillhouse.models import loadable
from stillhouse.models.weight_files import INDEX

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
    assert loadable.loading_arguments(model) == {}
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
        ("config.json", '{"model_type": "martian", "auto_map": {}}', "trusted_code"),
        (INDEX, '{"weight_map": 3}', "no index of shards"),
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
    assert loadable.loading_arguments(tmp_path) == {"gguf_file": "model.gguf"}
    assert loadable.weights_path(tmp_path) == tmp_path / "model.gguf"
