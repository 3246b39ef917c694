import sys
from types import MethodType, ModuleType

import pytest
import torch

from stillhouse.errors import BadConfig
from stillhouse.training import models
from stillhouse.training.config import FromScratch
from stillhouse.training.machine import generation, liger

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=1, heads=2, vocabulary=300, context=64)


@pytest.fixture
def model():
    return models.load(TINY, None, ["What is 1 + 1?"], 0)[0]


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.fixture
def fused(gpu, monkeypatch):
    """A stand-in for liger-kernel, which needs Triton: its norm is 0, and it replaces a class of the model's source module."""
    package, transformers, patches = (
        ModuleType(name) for name in ("liger_kernel", "liger_kernel.transformers", "liger_kernel.transformers.monkey_patch")
    )

    def forward(self, hidden_states):
        return hidden_states * 0

    forward.__module__ = "liger_kernel.transformers.rms_norm"

    def fuse(model, **left_out):
        from transformers.models.llama import modeling_llama

        modeling_llama.LlamaRMSNorm = package
        model.model.norm.forward = MethodType(forward, model.model.norm)
        package.arguments = left_out

    patches.MODEL_TYPE_TO_APPLY_LIGER_FN = {"llama": fuse}
    transformers._apply_liger_kernel_to_instance = fuse
    for module in (package, transformers, patches):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(liger, "find_spec", lambda name: name)
    return package


def norm(model):
    return float(model.model.norm(torch.ones(1, 32)).detach().abs().sum())


def test_liger_without_a_gpu_is_not_taken_unless_asked_for(monkeypatch, capsys, model):
    liger.apply(model)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("STILLHOUSE_LIGER", "on")
    with pytest.raises(BadConfig, match="STILLHOUSE_LIGER=on: there is no GPU"):
        liger.apply(model)


def test_liger_that_is_not_installed_is_said_once_or_refused(model, gpu, monkeypatch, capsys):
    monkeypatch.setattr(liger, "find_spec", lambda name: None)
    liger.apply(model)
    assert capsys.readouterr().err == "  without liger kernels: liger-kernel is not installed\n"
    monkeypatch.setenv("STILLHOUSE_LIGER", "on")
    with pytest.raises(BadConfig, match=r"liger-kernel is not installed; install `stillhouse\[train,liger\]`"):
        liger.apply(model)


def test_liger_that_does_not_know_the_architecture_is_said(model, fused, capsys):
    model.config.model_type = "mine"
    liger.apply(model)
    assert capsys.readouterr().err == "  without liger kernels: liger has no kernels for models of type mine\n"


@pytest.mark.parametrize(("wanted", "expected"), [("auto", 0.0), ("on", 0.0), ("off", 32.0)])
def test_liger_that_is_installed_is_taken_unless_switched_off(model, fused, monkeypatch, wanted, expected):
    monkeypatch.setenv("STILLHOUSE_LIGER", wanted)
    liger.apply(model)
    assert norm(model) == pytest.approx(expected, abs=1e-3)


def test_liger_changes_this_model_alone(model, fused):
    from transformers.models.llama import modeling_llama

    before = modeling_llama.LlamaRMSNorm
    liger.apply(model)
    assert modeling_llama.LlamaRMSNorm is before
    assert fused.arguments == {"rope": False, "cross_entropy": False, "fused_linear_cross_entropy": False}


def test_liger_is_in_the_update_and_not_in_generation(model, fused):
    liger.apply(model)
    with generation.suited(model):
        assert norm(model) == pytest.approx(32.0, abs=1e-3)
    assert norm(model) == 0.0


def test_liger_word_that_is_not_known_is_refused(monkeypatch, model):
    monkeypatch.setenv("STILLHOUSE_LIGER", "yes")
    with pytest.raises(BadConfig, match="STILLHOUSE_LIGER=yes: not one of auto, on, off"):
        liger.apply(model)
