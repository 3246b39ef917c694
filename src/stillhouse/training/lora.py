"""Low-rank adapters: train a small addition to a large model, merged into its weights at the end."""

from typing import Any

from pydantic import Field

from stillhouse.vocabulary.settings import StageConfig


class Lora(StageConfig):
    """Adapters on all linear layers (Hu et al. 2021); the papers train all weights."""

    rank: int = Field(16, ge=1)
    """Width of an adapter."""
    alpha: float = Field(32, gt=0)
    """Scale of an adapter: alpha / rank multiplies what it adds."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout before an adapter."""

    def peft(self) -> Any:
        """The ``peft.LoraConfig``."""
        from peft import LoraConfig

        return LoraConfig(
            r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules="all-linear", task_type="CAUSAL_LM"
        )


def merged(model: Any) -> Any:
    """The model itself, or with its adapters merged into its weights."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
