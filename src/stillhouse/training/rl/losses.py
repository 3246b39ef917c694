"""RL losses by name: the losses of TRL's GRPOTrainer that the rl stage allows, and how each one averages over tokens."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RlLoss:
    """A loss."""

    source: str
    """The paper that defines it."""
    averages: str
    """How the tokens' losses are averaged over a batch of rollouts."""
    arguments: dict[str, Any]
    """What GRPOConfig needs for it."""


LOSSES = {
    "grpo": RlLoss("DeepSeekMath, arXiv:2402.03300 §4.1.1", "over a rollout's tokens, then over rollouts", {"loss_type": "grpo"}),
    "dr_grpo": RlLoss(
        "Understanding R1-Zero-Like Training, arXiv:2503.20783", "their sum over max_tokens", {"loss_type": "dr_grpo"}
    ),
    "dapo": RlLoss("DAPO, arXiv:2503.14476 §3.3", "over all tokens of the whole batch", {"loss_type": "dapo"}),
}
"""By name. To allow another loss, add a row; to give a recipe the choice, RlConfig needs a field."""

DEFAULT_LOSS = "grpo"
"""The loss of Difficulty-Aware Staged RL (§4.1), which names GRPO and no variant of it."""
