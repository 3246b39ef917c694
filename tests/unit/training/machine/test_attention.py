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


def test_attention_that_is_not_installed_is_said_once_or_refused(gpu, monkeypatch, capsys):
    monkeypatch.setattr(attention, "find_spec", lambda name: None)
    assert backend() == "sdpa"
    assert capsys.readouterr().err == "  without flash attention: the package flash_attn is not installed\n"
    monkeypatch.setenv("STILLHOUSE_ATTENTION", "flash_attention_3")
    with pytest.raises(BadConfig, match="flash_attention_3: the package flash_attn_interface is not installed"):
        backend()


def test_attention_that_is_installed_is_taken(gpu, monkeypatch):
    taken = []
    monkeypatch.setattr(attention, "find_spec", lambda name: name)
    monkeypatch.setattr(attention, "_set", lambda model, backend: taken.append(backend))
    backend()
    assert taken == ["flash_attention_2"]


class Model:
    """One that refuses every backend, or one that only warns and keeps its own."""

    config = SimpleNamespace(_attn_implementation="eager")

    def __init__(self, refuses):
        self.refuses = refuses

    def set_attn_implementation(self, name):
        if self.refuses:
            raise ValueError(f"{name} is\nnot mine")


@pytest.mark.parametrize(("refuses", "why"), [(True, "Model cannot use it: .* is not mine"), (False, "Model supports only eager")])
def test_attention_that_the_model_cannot_use_is_refused_by_name_or_gone_without(gpu, monkeypatch, capsys, refuses, why):
    monkeypatch.setattr(attention, "find_spec", lambda name: name)
    attention.choose(Model(refuses))
    assert re.fullmatch(f"  without flash attention: {why}\n", capsys.readouterr().err)
    monkeypatch.setenv("STILLHOUSE_ATTENTION", "sdpa")
    with pytest.raises(BadConfig, match=f"STILLHOUSE_ATTENTION=sdpa: {why}; set it to auto, which takes the best one available"):
        attention.choose(Model(refuses))
