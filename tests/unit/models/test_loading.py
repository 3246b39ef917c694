import json

import pytest

from stillhouse.errors import EngineFailed
from stillhouse.models import loading
from tests.architectures import save


@pytest.fixture
def model(tmp_path):
    return save("smollm2", tmp_path / "model")


def change(directory, **settings):
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_model_whose_files_agree_is_loaded(model):
    assert loading.causal_model(model, "checkpoint", trusted=False).config.num_hidden_layers == 2


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"num_hidden_layers": 3},
            r"the weights lack model.layers.2.input_layernorm.weight \(9 tensors",
        ),
        ({"vocab_size": 100}, r"model.embed_tokens.weight is \d+ × 64 in the weights and 100 × 64 by the config"),
        ({"model_type": "bert", "architectures": ["BertModel"]}, "the weights lack bert.embeddings"),
        ({"hidden_size": "64"}, "transformers cannot load it: .*hidden_size"),
        ({"num_attention_heads": 0}, "transformers cannot load it"),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, "transformers cannot load it"),
    ],
)
def test_model_whose_config_is_of_another_is_refused_in_one_line(model, settings, line):
    change(model, **settings)
    with pytest.raises(EngineFailed, match=f"checkpoint: .*{line}") as caught:
        loading.causal_model(model, "checkpoint", trusted=False)
    assert "\n" not in str(caught.value)
