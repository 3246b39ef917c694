import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

from stillhouse.training.card_peaks import TrainingFlops, peak_of, training_flops

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 40}


@pytest.mark.parametrize(
    ("card", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA H100 PCIe", 756e12), ("NVIDIA H100 NVL", 835e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA H200", 989e12), ("NVIDIA L4", 121e12), ("NVIDIA L40S", 362e12), ("NVIDIA GeForce RTX 4090", 165e12),
        ("Tesla V100-SXM2-16GB", None), ("NVIDIA L40", None), ("NVIDIA A10G", None),
    ],
)  # fmt: skip
def test_peak_is_that_of_the_card_by_its_whole_name(card, peak):
    assert peak_of(card) == peak


@pytest.mark.parametrize("tied", [True, False])
def test_training_flops_are_six_for_each_weight_that_is_multiplied(tied):
    model = LlamaForCausalLM(LlamaConfig(tie_word_embeddings=tied, **SIZES))
    weights = sum(parameter.numel() for parameter in model.parameters()) - (0 if tied else 40 * 16)
    assert training_flops(model) == TrainingFlops(6 * weights, 12 * 2 * 16)


def test_training_flops_of_frozen_weights_are_four():
    model = LlamaForCausalLM(LlamaConfig(tie_word_embeddings=True, **SIZES)).requires_grad_(False)
    assert training_flops(model).per_token == 4 * sum(parameter.numel() for parameter in model.parameters())


def test_training_flops_count_documents_of_a_pack_apart():
    flops = TrainingFlops(10.0, 4.0)
    assert flops.of([3, 2]) == 10 * 5 + 4 * (9 + 4) / 2


def test_training_flops_of_a_mixture_of_experts_are_not_known():
    model = MixtralForCausalLM(MixtralConfig(num_local_experts=2, num_key_value_heads=2, **SIZES))
    assert training_flops(model) is None
    assert not torch.cuda.is_initialized()
