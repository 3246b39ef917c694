"""The terms of the loss, token by token, and how they are averaged.

To add a policy loss, write a function like ``TokenLoss`` and name it in a recipe, as ``policy_loss: module:attribute`` or by an
entry point of the group ``stillhouse.losses``.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor

from stillhouse.execution import extensions
from stillhouse.training.rl.losses.config import LOSSES, Aggregation, LossSettings


@dataclass(frozen=True, slots=True)
class RolloutTokens:
    """The tokens of rollouts, as a loss reads them; float tensors of shape (rollouts, tokens)."""

    logprobs: Tensor
    """Log-probability of each token by the policy; has a gradient."""
    old_logprobs: Tensor
    """The same by the policy as it was when it wrote the rollouts."""
    advantages: Tensor
    """Shape (rollouts, tokens), or (rollouts, 1) if all tokens of a rollout have the same."""
    mask: Tensor
    """1 for tokens that are learnt, 0 for padding, for what the model did not write, and for rollouts out of the loss."""


@dataclass(frozen=True, slots=True)
class StepSize:
    """What the sums over an optimizer step are divided by, on one of several processes whose gradients are averaged."""

    n_rollouts: float
    """Rollouts of this process, those out of the loss included."""
    n_tokens: float
    """Learnt tokens of all processes, over the number of processes."""
    max_tokens: int
    """Longest rollout, in tokens."""


class TokenLoss(Protocol):
    """A policy loss of the user's own: what each token adds to the loss, before it is weighed, averaged and minimised."""

    def __call__(self, tokens: RolloutTokens, settings: LossSettings) -> Tensor:
        """A tensor of shape (rollouts, tokens) or (rollouts, 1); finite, off the mask too."""


def policy_loss(settings: LossSettings) -> TokenLoss:
    """The policy loss that the config names. Raises BadConfig if an extension cannot be loaded."""
    return cast("TokenLoss", extensions.load("losses", settings.policy_loss, LOSSES))


def ratio(tokens: RolloutTokens, level: str) -> Tensor:
    """The policy's probability over the old one: by token, or (rollouts, 1) of a rollout, their geometric mean; 1 off the mask."""
    log_ratio = (tokens.logprobs - tokens.old_logprobs) * tokens.mask
    if level == "sequence":
        log_ratio = log_ratio.sum(1, keepdim=True) / tokens.mask.sum(1, keepdim=True).clamp(min=1)
    return log_ratio.exp()


def bounds(settings: LossSettings) -> tuple[float, float]:
    """The least and the largest ratio that is not clipped."""
    low = -math.inf if settings.clip_low is None else 1 - settings.clip_low
    return low, math.inf if settings.clip_high is None else 1 + settings.clip_high


def clipped(tokens: RolloutTokens, settings: LossSettings) -> Tensor:
    """PPO's pessimistic choice between the ratio and the clipped ratio (arXiv:1707.06347, equation 7), as GRPO and DAPO use it."""
    weight = ratio(tokens, settings.importance_level)
    return -torch.minimum(weight * tokens.advantages, weight.clamp(*bounds(settings)) * tokens.advantages)


def clipped_weight(tokens: RolloutTokens, settings: LossSettings) -> Tensor:
    """The log-probability, weighed by the clipped ratio, which passes no gradient (MiniMax-M1, arXiv:2506.13585, equation 4)."""
    weight = ratio(tokens, settings.importance_level).clamp(*bounds(settings)).detach()
    return -weight * tokens.advantages * tokens.logprobs


def clipped_shares(tokens: RolloutTokens, settings: LossSettings) -> tuple[Tensor, Tensor]:
    """1 for tokens whose advantage pushes the ratio further below the lower bound, and above the upper one; shape of the ratio."""
    weight, (low, high) = ratio(tokens, settings.importance_level).detach(), bounds(settings)
    below, above = (weight < low) & (tokens.advantages < 0), (weight > high) & (tokens.advantages > 0)
    return below.to(tokens.mask.dtype), above.to(tokens.mask.dtype)


_ESTIMATES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "k1": lambda log_ratio: -log_ratio,
    "k2": lambda log_ratio: log_ratio.square() / 2,
    "k3": lambda log_ratio: log_ratio.exp() - log_ratio - 1,
}


def divergence(logprobs: Tensor, reference_logprobs: Tensor, mask: Tensor, estimator: str) -> Tensor:
    """An estimate by token of KL(policy, reference), from samples of the policy; 0 off the mask.

    The estimators are those of J. Schulman, Approximating KL divergence (2020). All tensors: float, shape (rollouts, tokens).
    """
    return _ESTIMATES[estimator]((reference_logprobs - logprobs) * mask)


def aggregated(values: Tensor, mask: Tensor, how: Aggregation, step: StepSize) -> Tensor:
    """What these rollouts add to the step's average, a scalar; the sum over the passes of a step does not depend on their number.

    ``values``: float, shape (rollouts, tokens) or (rollouts, 1). ``mask``: float, shape (rollouts, tokens).
    """
    sums = torch.where(mask > 0, values, 0).sum(1)
    if how == "rollout_mean":
        return (sums / mask.sum(1).clamp(min=1)).sum() / step.n_rollouts
    if how == "rollout_sum":
        return sums.sum() / step.n_rollouts
    if how == "constant":
        return sums.sum() / (step.n_rollouts * step.max_tokens)
    return sums.sum() / max(step.n_tokens, 1.0)
