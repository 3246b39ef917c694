"""Low-rank adapters: train a small addition to a large model, then merge it into the model's weights."""

from typing import TYPE_CHECKING

from transformers import PreTrainedModel

from stillhouse.training.config import Lora

if TYPE_CHECKING:
    from peft import LoraConfig


def peft_config(lora: Lora) -> "LoraConfig":
    """The adapters as peft describes them."""
    from peft import LoraConfig  # not installed in every environment that trains

    return LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def merged(model: PreTrainedModel) -> PreTrainedModel:
    """The model with its adapters, if it has any, merged into its weights."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
