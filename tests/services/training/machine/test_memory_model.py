"""The arithmetic of ``stillhouse fit`` against what tensors hold in small real steps on a CPU."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, set_seed
from trl.trainer.utils import add_fused_lm_head

from stillhouse.training.machine.memory_model import Placement, memory, shape_of
from tests.services.training.machine.allocated import peak_bytes

CLOSE = 0.15


def made(kind, **config):
    set_seed(0)
    sizes = {"vocab_size": 2000, "intermediate_size": 700, "num_hidden_layers": 6, "max_position_embeddings": 4096} | config
    config_of, model_of = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM)}[kind]
    model = model_of(config_of(**sizes))
    add_fused_lm_head(model)
    return model.train()


MODELS = {
    "llama": lambda: made("llama", hidden_size=256, num_attention_heads=4, num_key_value_heads=4),
    "grouped": lambda: made("llama", hidden_size=256, num_attention_heads=8, num_key_value_heads=2, tie_word_embeddings=True),
    "qwen2": lambda: made("qwen2", hidden_size=384, num_attention_heads=6, num_key_value_heads=2, intermediate_size=1024),
    "deep": lambda: made("llama", hidden_size=128, num_attention_heads=4, num_key_value_heads=4, num_hidden_layers=16),
}


def measured(model, placement):
    """Peak bytes of a step's second pass, its update, and all that stays: weights, gradients, moments."""
    ids = torch.randint(5, 1990, (placement.micro_batch, placement.length))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    if placement.checkpointing != "off":
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if placement.checkpointing == "selective":
        for layer in model.model.layers[1::2]:
            layer.gradient_checkpointing = False

    def one_pass():
        with torch.autocast("cpu", torch.bfloat16, enabled=placement.autocast):
            loss = model(input_ids=ids, labels=ids, fused_lm_head=True, use_cache=False).loss
        loss.backward()

    def step():
        one_pass()
        optimizer.step()
        one_pass()

    weights = sum(parameter.nbytes for parameter in model.parameters())
    return weights + peak_bytes(step)


@pytest.mark.parametrize("checkpointing", ["off", "selective", "on"])
@pytest.mark.parametrize("autocast", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize(
    ("name", "rows", "length"), [("llama", 2, 512), ("grouped", 1, 1024), ("qwen2", 4, 256), ("deep", 1, 2048)]
)
def test_memory_is_within_15_percent_of_what_a_real_step_holds(name, rows, length, autocast, checkpointing):
    model = MODELS[name]()
    shape = shape_of(model.config.to_dict())
    assert shape.n_parameters == model.num_parameters()
    placement = Placement(checkpointing=checkpointing, micro_batch=rows, length=length, autocast=autocast, triton=False)
    expected, real = memory(shape, placement).total, measured(model, placement)
    print(f"\n  {name} {rows} x {length} {checkpointing}: {expected / 2**20:.0f} MiB, measured {real / 2**20:.0f}")
    assert expected == pytest.approx(real, rel=CLOSE)
