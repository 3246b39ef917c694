"""The settings of an rl stage's loss: an algorithm's name, and every part of its formula."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from stillhouse.execution import extensions
from stillhouse.training.rl.losses import cispo, dapo, dr_grpo, grpo, gspo, reinforce_pp, reinforce_pp_baseline, rloo
from stillhouse.training.rl.losses.preset import AlgorithmPreset
from stillhouse.vocabulary.settings import OMIT_DEFAULT, StageConfig

Algorithm = Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo", "rloo", "reinforce_pp", "reinforce_pp_baseline"]
Aggregation = Literal["rollout_mean", "token_mean", "rollout_sum", "constant"]
EngineCorrection = Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask", "none"]

ALGORITHMS: Mapping[str, AlgorithmPreset] = {
    "grpo": grpo.PRESET,
    "dr_grpo": dr_grpo.PRESET,
    "dapo": dapo.PRESET,
    "gspo": gspo.PRESET,
    "cispo": cispo.PRESET,
    "rloo": rloo.PRESET,
    "reinforce_pp": reinforce_pp.PRESET,
    "reinforce_pp_baseline": reinforce_pp_baseline.PRESET,
}
"""By name."""

LOSSES = {
    "clipped": "stillhouse.training.rl.losses.terms:clipped",
    "clipped_weight": "stillhouse.training.rl.losses.terms:clipped_weight",
}
"""Built-in losses of a token, by name."""


class LossSettings(StageConfig):
    """The loss. A setting that a recipe leaves out has its algorithm's value; those printed here are GRPO's."""

    algorithm: Algorithm = Field("grpo", json_schema_extra=OMIT_DEFAULT)
    """The formula whose values the settings below take unless the recipe sets them."""
    kl_coefficient: float = Field(0.001, ge=0)
    """Weight of the KL term towards the initial policy; 0 for dr_grpo, dapo, gspo and cispo."""
    entropy_coefficient: float = Field(0.001, ge=0)
    """Weight of the entropy bonus; the paper's stage 2 sets 0, and so do all algorithms but grpo."""
    policy_loss: str = Field("clipped", json_schema_extra=OMIT_DEFAULT | {"enum": list(LOSSES)})
    """A token's loss: clipped, clipped_weight (cispo), or a function of your own, by entry point or as module:attribute."""
    loss_aggregation: Aggregation = Field("rollout_mean", json_schema_extra=OMIT_DEFAULT)
    """rollout_mean: over a rollout's tokens, then rollouts; token_mean; rollout_sum: mean of sums; constant: over max_tokens."""
    importance_level: Literal["token", "sequence"] = Field("token", json_schema_extra=OMIT_DEFAULT)
    """Whether each token has a probability ratio of its own, or a rollout has one, the geometric mean of its tokens' (gspo)."""
    clip_low: float | None = Field(0.2, ge=0, json_schema_extra=OMIT_DEFAULT)
    """The ratio is clipped below 1 - clip_low; null clips nothing there."""
    clip_high: float | None = Field(0.2, ge=0, json_schema_extra=OMIT_DEFAULT)
    """The ratio is clipped above 1 + clip_high; null clips nothing there."""
    advantage_baseline: Literal["group_mean", "leave_one_out", "batch_mean"] = Field("group_mean", json_schema_extra=OMIT_DEFAULT)
    """What a reward is compared with: its group's mean, the mean of the others in it, or the mean over all tokens of the step."""
    advantage_scale: Literal["group_std", "batch_std", "none"] = Field("group_std", json_schema_extra=OMIT_DEFAULT)
    """What the difference is divided by: its group's standard deviation, that over all tokens of the step, or nothing."""
    kl_estimator: Literal["k1", "k2", "k3"] = Field("k3", json_schema_extra=OMIT_DEFAULT)
    """k1: log(policy/ref); k2: half its square; k3: ref/policy - log(ref/policy) - 1."""
    kl_ratio: bool = Field(False, json_schema_extra=OMIT_DEFAULT)
    """Weigh the KL term by the token's probability ratio: an unbiased gradient (DeepSeek-V3.2, arXiv:2512.02556)."""
    kl_placement: Literal["loss", "reward"] = Field("loss", json_schema_extra=OMIT_DEFAULT)
    """Whether the KL term is added to the loss, or taken off the reward (rloo, reinforce_pp)."""
    entropy_aggregation: Aggregation = Field("token_mean", json_schema_extra=OMIT_DEFAULT)
    """How the entropy bonus is averaged, as in loss_aggregation; the paper does not say."""
    overlong_share: float = Field(0.0, ge=0, le=1, json_schema_extra=OMIT_DEFAULT)
    """Share of max_tokens, at its end, over which the reward falls by overlong_penalty (dapo: 0.2)."""
    overlong_penalty: float = Field(1.0, gt=0, json_schema_extra=OMIT_DEFAULT)
    """What a rollout of max_tokens loses of its reward, if overlong_share is above 0."""
    engine_correction: EngineCorrection = Field("token_truncate", json_schema_extra=OMIT_DEFAULT)
    """With engine vllm, the trainer's probability over the engine's weighs the loss: bounded, or 0 beyond the bound (mask). By
    token: over 16k tokens the product would leave few rollouts in the loss."""
    engine_correction_clip: float = Field(3.0, gt=1, json_schema_extra=OMIT_DEFAULT)
    """Largest weight of engine_correction; the papers give no value."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        preset = ALGORITHMS.get(str(values.get("algorithm", "grpo"))) if isinstance(values, dict) else None
        return {**preset.settings, **values} if preset else values

    @field_validator("policy_loss")
    @classmethod
    def _pin_loss(cls, policy_loss: str) -> str:
        return extensions.pinned("losses", policy_loss, LOSSES)

    @model_validator(mode="after")
    def _refuse_nonsense(self) -> Self:
        in_reward, with_kl = self.kl_placement == "reward", self.kl_coefficient > 0
        if with_kl and self.kl_estimator == "k1" and not in_reward and not self.kl_ratio:
            msg = (
                "kl_estimator k1 in the loss: its gradient is 0 in the mean; set kl_ratio: true, or kl_placement: reward, or take "
                "k2 or k3"
            )
            raise ValueError(msg)
        if with_kl and in_reward and self.kl_ratio:
            msg = "kl_ratio weighs a KL term of the loss, got kl_placement reward; set one of the two"
            raise ValueError(msg)
        if self.advantage_baseline == "batch_mean" and self.advantage_scale == "group_std":
            msg = (
                "advantage_scale group_std: a group's deviation says nothing of advantage_baseline batch_mean; take batch_std or "
                "none"
            )
            raise ValueError(msg)
        if with_kl and in_reward and self.advantage_baseline == "batch_mean" and self.importance_level == "sequence":
            msg = (
                "importance_level sequence: one ratio for a rollout, got advantages by token (kl_placement reward, batch_mean); "
                "take token"
            )
            raise ValueError(msg)
        return self

    def is_left_out(self, name: str) -> bool:
        """Another algorithm than GRPO is dumped with all of its settings: what its name stands for may change, they may not."""
        return super().is_left_out(name) and (self.algorithm == "grpo" or name not in LossSettings.model_fields)
