"""Generation by a model in training, under autocast as training passes are."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from stillhouse.execution import processes
from stillhouse.training.machine import generation

N_TOKENS = 6


class Casts(TorchDispatchMode):
    """Counts how often each weight is copied to bf16."""

    def __init__(self, model):
        super().__init__()
        self.names = {weight.data_ptr(): name for name, weight in model.named_parameters()}
        self.counts = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._to_copy.default and (kwargs or {}).get("dtype") is torch.bfloat16:
            name = self.names.get(args[0].data_ptr())
            if name:
                self.counts[name] = self.counts.get(name, 0) + 1
        return function(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def trained():
    """A tiny model whose passes are each under bf16 autocast, as accelerate prepares it, and what stands for its accelerator.

    A real one would set the precision of every test of the process.
    """
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, vocab_size=64, eos_token_id=None,
        pad_token_id=0,
    )  # fmt: skip
    model, accelerator = LlamaForCausalLM(config), SimpleNamespace(autocast=lambda: torch.autocast("cpu", torch.bfloat16))
    model.forward = torch.autocast("cpu", torch.bfloat16)(model.forward)
    return model, accelerator


def written(model, context):
    """The tokens that the model writes, and how often each weight was cast for them."""
    model.eval()
    settings = GenerationConfig(max_new_tokens=N_TOKENS, do_sample=False, disable_compile=True, pad_token_id=0)
    with context, torch.no_grad(), Casts(model) as casts:
        tokens = model.generate(input_ids=torch.tensor([[5, 9, 3], [7, 2, 8]]), generation_config=settings)
    return tokens.tolist(), casts.counts


def test_cast_once_casts_each_weight_for_the_first_token_alone_and_changes_none(trained):
    model, accelerator = trained
    plain, casts = written(model, nullcontext())
    assert set(casts.values()) == {N_TOKENS}
    tokens, casts_once = written(model, generation.cast_once(accelerator))
    assert tokens == plain
    assert casts_once == dict.fromkeys(casts, 1)


def test_cast_once_keeps_no_copy_of_a_weight_that_is_trained_afterwards(trained):
    model, accelerator = trained
    before, _ = written(model, generation.cast_once(accelerator))
    with torch.no_grad():
        model.lm_head.weight.mul_(-1)
    after, _ = written(model, generation.cast_once(accelerator))
    assert after != before
    model(input_ids=torch.tensor([[5, 9]]), labels=torch.tensor([[5, 9]])).loss.backward()
    assert model.lm_head.weight.grad.abs().sum() > 0, "a copy made without gradients would cut them off"


def test_cast_once_with_fsdp_leaves_the_casts_to_each_pass(trained, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_SHARDING", "fsdp2")
    monkeypatch.setattr(processes, "count", lambda: 2)
    model, accelerator = trained
    _, casts = written(model, generation.cast_once(accelerator))
    assert set(casts.values()) == {N_TOKENS}
