import pytest
import torch

from stillhouse.errors import BadConfig
from stillhouse.training import lora, models
from stillhouse.training.config import Adapters, FromScratch, Lora

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=2, heads=2, vocabulary=300, context=64)


@pytest.fixture
def adapted():
    """A model with adapters that change it, and the weights it had without them."""
    from peft import get_peft_model

    model, _ = models.load(TINY, None, ["What is 1 + 1?"], 0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    adapted = get_peft_model(model, lora.peft_config(Adapters(rank=2)))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    return adapted, before


def test_engine_weights_have_the_adapters_and_leave_the_model_as_it_is(adapted):
    model, before = adapted
    found = dict(lora.engine_weights(model))
    assert found.keys() == before.keys()
    assert not any(value.requires_grad for value in found.values())
    kept = {name.replace(".base_layer", ""): value for name, value in model.get_base_model().state_dict().items()}
    assert all(torch.equal(kept[name], value) for name, value in before.items())
    merged = model.merge_and_unload().state_dict()
    assert all(torch.equal(found[name], merged[name]) for name in merged)
    assert any(not torch.equal(found[name], before[name]) for name in before)


def test_engine_weights_without_adapters_are_the_models_own():
    model, _ = models.load(TINY, None, ["What is 1 + 1?"], 0)
    assert dict(lora.engine_weights(model)).keys() == model.state_dict().keys()


def test_quantization_is_nf4_computed_in_bf16_and_only_where_asked_for():
    assert lora.quantization(None) is lora.quantization(Adapters()) is lora.quantization(Lora()) is None
    held = lora.quantization(Lora(quantize="nf4"))
    assert (held.load_in_4bit, held.bnb_4bit_quant_type, held.bnb_4bit_compute_dtype) == (True, "nf4", torch.bfloat16)


def test_require_support_names_the_package_that_is_missing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(lora, "find_spec", lambda name: None)
    with pytest.raises(BadConfig, match="lora.quantize=nf4: the package bitsandbytes is not installed"):
        lora.require_support(Lora(quantize="nf4"))
    lora.require_support(Lora())


def test_require_support_refuses_weights_that_are_cut(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_SHARDING", "zero-3")
    with pytest.raises(BadConfig, match="lora: not with STILLHOUSE_SHARDING=zero-3"):
        lora.require_support(Adapters())
    lora.require_support(None)
