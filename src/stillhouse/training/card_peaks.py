"""How much of a card's arithmetic a training uses: model FLOPs utilisation (MFU), as in PaLM, arXiv:2204.02311 appendix B."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

PEAKS = {
    "A10": 125e12, "A100": 312e12, "A800": 312e12, "B200": 2250e12, "GH200": 989e12, "H100 NVL": 835e12, "H100 PCIe": 756e12,
    "H100": 989e12, "H200": 989e12, "H800": 989e12, "L4": 121e12, "L40S": 362e12, "MI300X": 1307e12, "RTX 3090": 71e12,
    "RTX 4090": 165e12,
}  # fmt: skip
"""bf16 operations a second by a part of the card's name, dense, with sums in fp32, from the makers' data sheets."""
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
"""Fields of the configs of mixtures of experts: a token passes only some of their weights, so that their MFU is not known."""


@dataclass(frozen=True)
class TrainingFlops:
    """What forward and backward passes cost; what gradient checkpointing computes twice counts once."""

    per_token: float
    """Of matrix products with weights."""
    per_pair: float
    """Of attention, for each pair of a token and itself or one before it."""

    def of(self, lengths: Sequence[int]) -> float:
        """Of sequences with so many tokens each."""
        return self.per_token * sum(lengths) + self.per_pair * sum(n * n for n in lengths) / 2


def peak() -> float | None:
    """Operations a second of this process's GPU in bf16; None without a GPU, and for a card that is not in ``PEAKS``."""
    return peak_of(torch.cuda.get_device_name()) if torch.cuda.is_available() else None


def peak_of(card: str) -> float | None:
    """The same of a card by its name, such as ``NVIDIA H100 80GB HBM3``: the longest part of ``PEAKS`` in it counts."""
    words = f" {card.replace('-', ' ').replace('_', ' ')} "
    known = [part for part in PEAKS if f" {part} " in words]
    return PEAKS[max(known, key=len)] if known else None


def training_flops(model: PreTrainedModel) -> TrainingFlops | None:
    """The cost of training the model; None for a mixture of experts.

    A weight costs 2 operations forward, 2 for the gradient of its input, and 2 for its own if it is trained. An embedding is looked
    up and costs nothing, unless the output head shares it. Attention: 2 products of 2 operations, forward, and twice as many
    backward.
    """
    config = model.config.get_text_config()
    if any(getattr(config, name, None) for name in EXPERTS):
        return None
    looked_up = model.get_input_embeddings().weight if not config.tie_word_embeddings else None
    sizes = [
        (getattr(parameter, "ds_numel", parameter.numel()), parameter.requires_grad)
        for parameter in model.parameters()
        if parameter is not looked_up
    ]
    width = config.num_attention_heads * (getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
    weights = sum(4 * size + 2 * size * is_trained for size, is_trained in sizes)
    return TrainingFlops(weights, 12 * config.num_hidden_layers * width)
