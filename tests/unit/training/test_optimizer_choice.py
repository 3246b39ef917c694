import pytest
import torch
from pydantic import ValidationError

from stillhouse.errors import BadConfig
from stillhouse.training import models, optimizer_choice
from stillhouse.training.config import AdamW, AdamW8Bit, Adapters, FromScratch, Muon, UpdateSettings
from stillhouse.training.rl.config import RlConfig
from stillhouse.training.sft.config import SftConfig

EIGHT_BIT, MUON = UpdateSettings(optimizer=AdamW8Bit(kind="adamw_8bit")), UpdateSettings(optimizer=Muon(kind="muon"))


@pytest.fixture
def gpu(monkeypatch):
    """A machine with a GPU and bitsandbytes, for all that is looked at."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(optimizer_choice, "find_spec", lambda name: name)


def test_arguments_say_all_that_changes_an_update():
    settings = UpdateSettings(optimizer=AdamW(beta1=0.8, beta2=0.95, epsilon=1e-6), clip_norm=0.5, router_loss=0.01)
    assert optimizer_choice.arguments(settings) == {
        "adam_beta1": 0.8, "adam_beta2": 0.95, "adam_epsilon": 1e-6, "max_grad_norm": 0.5, "router_aux_loss_coef": 0.01,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "paged", "name"),
    [(EIGHT_BIT, "off", "adamw_8bit"), (EIGHT_BIT, "on", "paged_adamw_8bit"), (UpdateSettings(), "on", "paged_adamw_32bit")],
)
def test_arguments_name_the_optimizer_as_transformers_does(monkeypatch, settings, paged, name):
    from transformers.training_args import OptimizerNames

    monkeypatch.setenv("STILLHOUSE_PAGED_OPTIMIZER", paged)
    assert optimizer_choice.arguments(settings)["optim"] == name
    assert OptimizerNames(name)


@pytest.mark.parametrize("config", [SftConfig, RlConfig])
def test_defaults_leave_the_config_as_it_was(config):
    assert not {"optimizer", "clip_norm", "router_loss", "lora"} & config().model_dump().keys() - {"lora"}
    changed = config(optimizer={"kind": "adamw", "beta2": 0.95})
    assert changed.model_dump()["optimizer"] == {"kind": "adamw", "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8}


def test_optimizer_of_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValidationError, match="'adamw', 'adamw_8bit', 'muon'"):
        SftConfig(optimizer={"kind": "adam"})
    with pytest.raises(ValidationError, match="momentum"):
        SftConfig(optimizer={"kind": "adamw", "momentum": 0.9})


def test_require_support_takes_what_works_here():
    optimizer_choice.require_support(UpdateSettings(), Adapters())
    optimizer_choice.require_support(MUON, None)


@pytest.mark.parametrize(
    ("settings", "adapters", "variables", "said"),
    [
        (MUON, Adapters(), {}, "muon: not with lora"),
        (MUON, None, {"STILLHOUSE_SHARDING": "zero-2"}, "muon: not with STILLHOUSE_SHARDING=zero-2: each process steps shares"),
        (MUON, None, {"STILLHOUSE_PAGED_OPTIMIZER": "on"}, "muon: not with STILLHOUSE_PAGED_OPTIMIZER=on"),
        (EIGHT_BIT, None, {"STILLHOUSE_SHARDING": "zero-3-offload"}, "adamw_8bit: not with STILLHOUSE_SHARDING=zero-3-offload"),
        (UpdateSettings(), None, {"STILLHOUSE_PAGED_OPTIMIZER": "yes"}, "STILLHOUSE_PAGED_OPTIMIZER=yes: not one of on, off"),
    ],
)
def test_require_support_refuses_what_cannot_be_stepped(monkeypatch, gpu, settings, adapters, variables, said):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadConfig, match=said):
        optimizer_choice.require_support(settings, adapters)


def test_require_support_refuses_pages_without_a_gpu_and_a_package_that_is_missing(monkeypatch):
    monkeypatch.setattr(optimizer_choice, "find_spec", lambda name: None)
    with pytest.raises(BadConfig, match="optimizer.kind adamw_8bit: the package bitsandbytes is not installed"):
        optimizer_choice.require_support(EIGHT_BIT, None)
    monkeypatch.setenv("STILLHOUSE_PAGED_OPTIMIZER", "on")
    with pytest.raises(BadConfig, match="STILLHOUSE_PAGED_OPTIMIZER=on: there is no GPU"):
        optimizer_choice.require_support(EIGHT_BIT, None)


def test_require_router_refuses_a_model_without_experts():
    tiny = FromScratch(kind="scratch", hidden_size=8, intermediate_size=8, layers=1, heads=1, vocabulary=300, context=16)
    model = models.load(tiny, None, ["1"], 0)[0]
    with pytest.raises(BadConfig, match=r"router_loss=0.1: LlamaForCausalLM is no mixture of experts"):
        optimizer_choice.require_router(model, UpdateSettings(router_loss=0.1))
    optimizer_choice.require_router(model, UpdateSettings(router_loss=0.0))
