"""Low-rank adapters: train a small addition to a large model, then merge it into the model's weights."""

from typing import TYPE_CHECKING

from transformers import PreTrainedModel

from stillhouse.errors import EngineFailed
from stillhouse.models.chat_formats import ChatFormat
from stillhouse.training.config import Lora

if TYPE_CHECKING:
    from peft import LoraConfig

LEAST_NORM = 0.1
"""Least norm of a trained token's row in the output head, as a share of the median."""


def peft_config(lora: Lora) -> "LoraConfig":
    """The adapters as peft describes them."""
    from peft import LoraConfig  # not installed in every environment that trains

    return LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def require_trained_end(model: PreTrainedModel, chat: ChatFormat) -> None:
    """Raise EngineFailed if the token that ends a turn was never trained: adapters leave a token's own rows as they are.

    Base models have such tokens in reserve; their rows stay near 0, or all alike.
    """
    rows = model.get_output_embeddings().weight.detach()
    norms = rows.float().norm(dim=1)
    if norms[chat.end_id] < LEAST_NORM * norms.median():
        norm, usual = float(norms[chat.end_id]), float(norms.median())
        msg = (
            f"lora: {chat.end_token} ends a turn, and the base model was never trained on it (its row has norm {norm:.2g}, others "
            f"{usual:.2g}); adapters leave that row as it is: leave out lora, start from the instruction-tuned model, or set "
            "chat_template to plain, which ends a turn with the base's own eos"
        )
        raise EngineFailed(msg)


def merged(model: PreTrainedModel) -> PreTrainedModel:
    """The model with its adapters, if it has any, merged into its weights."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
