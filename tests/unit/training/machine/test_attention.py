import re
from types import SimpleNamespace

import pytest

from stillhouse.errors import BadConfig
from stillhouse.training import models
from stillhouse.training.config import FromCheckpoint, FromScratch
from stillhouse.training.machine import attention

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=1, heads=2, vocabulary=300, context=64)


def backend():
    return models.load(TINY, None, ["What is 1 + 1?"], 0)[0].config._attn_implementation


@pytest.fixture
def gpu(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))


@pytest.mark.parametrize(("chosen", "expected"), [("", "sdpa"), ("auto", "sdpa"), ("sdpa", "sdpa"), ("eager", "eager")])
def test_attention_is_what_the_environment_asks_for(monkeypatch, chosen, expected, capsys):
    monkeypatch.setenv("STILLHOUSE_ATTENTION", chosen)
    assert backend() == expected
    assert "attention" not in capsys.readouterr().err


def test_attention_of_a_loaded_checkpoint_is_what_the_environment_asks_for(monkeypatch, checkpoint):
    monkeypatch.setenv("STILLHOUSE_ATTENTION", "eager")
    assert models.load(FromCheckpoint(), checkpoint, (), 0)[0].config._attn_implementation == "eager"


def test_attention_that_is_mistyped_is_corrected(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_ATTENTION", "flash_attention2")
    with pytest.raises(BadConfig, match="=flash_attention2: no attention backend; did you mean flash_attention_2?"):
        backend()


@pytest.mark.parametrize("chosen", ["flex_attention", "flash_attention_2", "flash_attention_3"])
def test_attention_that_needs_a_gpu_is_refused_without_one(monkeypatch, chosen):
    monkeypatch.setenv("STILLHOUSE_ATTENTION", chosen)
    with pytest.raises(BadConfig, match=f"STILLHOUSE_ATTENTION={chosen}: there is no GPU for it; set it to auto"):
        backend()


INSTALLED = {"": (), "2": ("flash_attn",), "3": ("flash_attn_interface",), "2 and 3": ("flash_attn", "flash_attn_interface")}


@pytest.mark.parametrize(
    ("packed", "installed", "capability", "expected"),
    [
        (True, "", (8, 0), "flex_attention"),
        (True, "", (9, 0), "flex_attention"),
        (True, "2", (8, 0), "flash_attention_2"),
        (True, "2 and 3", (9, 0), "flash_attention_3"),
        (True, "2 and 3", (8, 0), "flash_attention_2"),
        (True, "3", (8, 0), "flex_attention"),
        (False, "", (9, 0), "sdpa"),
        (False, "2", (8, 0), "flash_attention_2"),
        (False, "3", (9, 0), "flash_attention_3"),
    ],
)
def test_attention_on_a_gpu_goes_by_packs_and_what_is_installed(gpu, monkeypatch, packed, installed, capability, expected):
    import torch

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(attention, "find_spec", lambda name: name if name in INSTALLED[installed] else None)
    model = Model()
    attention.choose(model, packed=packed)
    assert model.config._attn_implementation == expected


@pytest.mark.parametrize("packed", [True, False])
def test_attention_without_a_gpu_is_the_models_own(packed):
    model = Model()
    attention.choose(model, packed=packed)
    assert model.config._attn_implementation == "sdpa"


def test_attention_that_is_not_installed_is_said_once_or_refused(gpu, monkeypatch, capsys):
    monkeypatch.setattr(attention, "find_spec", lambda name: None)
    attention.choose(Model(), packed=True)
    assert capsys.readouterr().err == (
        "  attention by flex_attention; without flash_attention_3: the package flash_attn_interface is not installed; "
        "without flash_attention_2: the package flash_attn is not installed\n"
    )
    monkeypatch.setenv("STILLHOUSE_ATTENTION", "flash_attention_3")
    with pytest.raises(BadConfig, match="flash_attention_3: the package flash_attn_interface is not installed"):
        attention.choose(Model())


class Model:
    """One that takes every backend; or refuses all, or only warns and keeps its own."""

    def __init__(self, refuses=None, **text_config):
        text = SimpleNamespace(**({"num_attention_heads": 2, "hidden_size": 128, "attention_dropout": 0.0} | text_config))
        self.config = SimpleNamespace(_attn_implementation="sdpa", get_text_config=lambda: text)
        self.refuses = refuses

    def set_attn_implementation(self, name):
        if self.refuses == "aloud":
            raise ValueError(f"{name} is\nnot mine")
        if self.refuses is None:
            self.config._attn_implementation = name


@pytest.mark.parametrize(
    ("refuses", "why"), [("aloud", "Model cannot use it: .* is not mine"), ("in silence", "Model supports only sdpa")]
)
def test_attention_that_the_model_cannot_use_is_refused_by_name_or_gone_without(gpu, monkeypatch, capsys, refuses, why):
    monkeypatch.setattr(attention, "find_spec", lambda name: name)
    attention.choose(Model(refuses))
    assert re.search(f"  attention by sdpa; .*without flash_attention_2: {why}\n", capsys.readouterr().err)
    monkeypatch.setenv("STILLHOUSE_ATTENTION", "eager")
    with pytest.raises(BadConfig, match=f"STILLHOUSE_ATTENTION=eager: {why}; set it to auto, which takes the best one available"):
        attention.choose(Model(refuses))


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (Model("aloud"), "without flex_attention: Model cannot use it"),
        (Model(head_dim=8), "it needs heads of 16 dimensions, the model's have 8"),
        (Model(attention_dropout=0.1), "it has no attention dropout, the model has"),
    ],
)
def test_attention_of_packs_on_a_gpu_is_never_a_dense_mask_unless_asked_for(gpu, monkeypatch, model, why):
    monkeypatch.setattr(attention, "find_spec", lambda name: None)
    with pytest.raises(BadConfig, match=f"packing: no attention backend for packs .*{why}.*or accept .* STILLHOUSE_ATTENTION=sdpa"):
        attention.choose(model, packed=True)
    monkeypatch.setenv("STILLHOUSE_ATTENTION", "sdpa")
    model.refuses = None
    attention.choose(model, packed=True)
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    ("trains_with", "generates_with"), [("flex_attention", "sdpa"), ("flash_attention_2", "flash_attention_2"), ("eager", "eager")]
)
def test_attention_of_generation_suits_one_token_at_a_time(trains_with, generates_with):
    model = Model()
    model.config._attn_implementation = trains_with
    with attention.generating(model):
        assert model.config._attn_implementation == generates_with
    assert model.config._attn_implementation == trains_with


def test_attention_of_generation_is_put_back_after_an_error():
    model = Model()
    model.config._attn_implementation = "flex_attention"
    with pytest.raises(ZeroDivisionError), attention.generating(model):
        raise ZeroDivisionError
    assert model.config._attn_implementation == "flex_attention"
