from dataclasses import replace

import pytest

from stillhouse.models.published_configs import PUBLISHED
from stillhouse.training.machine.memory_model import (
    CONTEXT,
    Placement,
    checkpoint_bytes,
    fastest,
    fits,
    host_bytes,
    memory,
    n_trained,
    shape_of,
    slowdown,
)

GIB = 2**30
CARD = 79 * GIB
SHAPES = {name: shape_of(config) for name, config in PUBLISHED.items()}
SEVEN = SHAPES["Qwen2.5-7B"]


@pytest.mark.parametrize(
    ("name", "millions"),  # of the models' cards
    [("Qwen2.5-0.5B", 494), ("Qwen2.5-1.5B", 1544), ("Qwen2.5-3B", 3086), ("Qwen2.5-7B", 7616), ("Qwen2.5-14B", 14_770),
     ("Qwen2.5-32B", 32_764), ("Qwen2.5-72B", 72_706)],
)  # fmt: skip
def test_parameters_of_published_models_are_those_of_their_cards(name, millions):
    assert SHAPES[name].n_parameters / 1e6 == pytest.approx(millions, rel=1e-3)


def test_experts_count_whole_in_weights_and_by_use_in_activations():
    config = PUBLISHED["Qwen2.5-0.5B"] | {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 608}
    shape = shape_of(config)
    assert shape.intermediate == 2 * 608
    assert shape.n_linear > SHAPES["Qwen2.5-0.5B"].n_linear * 0.9


@pytest.mark.parametrize(
    ("sharding", "expected"),  # of docs/training.md, for P parameters on 8 GPUs
    [("none", 16), ("zero-1", 4 + 12 / 8), ("zero-2", 2 + 14 / 8), ("zero-3", 16 / 8), ("zero-2-offload", 2 + 2 / 8)],
)
def test_states_are_those_of_the_papers_formula(sharding, expected):
    parts = memory(SEVEN, Placement(gpus=8, sharding=sharding, autocast=False))
    assert parts.weights + parts.gradients + parts.optimizer == pytest.approx(expected * SEVEN.n_parameters)


def test_offload_moves_masters_and_moments_to_the_host():
    placement = Placement(gpus=8, sharding="zero-2-offload")
    assert host_bytes(SEVEN, placement) == pytest.approx(12 * SEVEN.n_parameters / 8)
    assert host_bytes(SEVEN, replace(placement, sharding="zero-2")) == 0


def test_activations_fall_with_checkpointing_and_grow_with_tokens():
    off, selective, on = (memory(SEVEN, Placement(checkpointing=each)).activations for each in ("off", "selective", "on"))
    assert on < selective < off
    assert memory(SEVEN, Placement(length=8192)).activations == pytest.approx(2 * off)
    assert memory(SEVEN, Placement(micro_batch=2)).activations == pytest.approx(2 * off)


def test_adapters_train_their_own_parameters_and_need_no_reference():
    placement = Placement(lora_rank=16, reference=True)
    assert n_trained(SEVEN, placement) == 16 * SEVEN.linear_widths
    parts = memory(SEVEN, placement)
    assert parts.reference == 0
    assert parts.optimizer == pytest.approx(8 * n_trained(SEVEN, placement))
    assert memory(SEVEN, Placement(reference=True)).reference == pytest.approx(4 * SEVEN.n_parameters)


def test_moments_in_8_bits_take_a_quarter():
    eight, full = (memory(SEVEN, Placement(optimizer=each)).optimizer for each in ("adamw_8bit", "adamw"))
    assert eight / full == pytest.approx(0.25, rel=0.02)


def test_fit_leaves_a_tenth_and_the_share_of_vllm():
    placement = Placement(length=512)
    needed = memory(SHAPES["Qwen2.5-0.5B"], placement).total + CONTEXT
    assert fits(SHAPES["Qwen2.5-0.5B"], placement, needed / 0.89)
    assert not fits(SHAPES["Qwen2.5-0.5B"], placement, needed / 0.95)
    assert not fits(SHAPES["Qwen2.5-0.5B"], replace(placement, rollout_share=0.3), needed / 0.89)


def test_fastest_needs_more_sharding_the_larger_the_model_and_the_longer_the_sequence():
    base = Placement(gpus=8)
    small, large = fastest(SHAPES["Qwen2.5-0.5B"], base, CARD), fastest(SHAPES["Qwen2.5-32B"], base, CARD)
    assert small.sharding == "none"
    assert small.checkpointing == "off"
    assert large.sharding == "zero-3"
    longer = fastest(SHAPES["Qwen2.5-1.5B"], replace(base, length=32_768), CARD)
    assert slowdown(longer) > 1
    assert longer.checkpointing != "off"
    assert fastest(SHAPES["Qwen2.5-72B"], Placement(gpus=1, length=32_768), CARD) is None


def test_checkpoint_of_32_billion_parameters_is_that_of_the_docs():
    assert checkpoint_bytes(SHAPES["Qwen2.5-32B"], Placement(gpus=8, sharding="zero-3")) / 1e9 == pytest.approx(459, rel=0.01)
