"""Rewards -> advantages: what a rollout, or each of its tokens, is better by than what it is compared with."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from stillhouse.training.rl.losses.config import LossSettings

LEAST_DEVIATION = 1e-4
"""Added to every deviation, as TRL does, so that equal rewards give 0."""

SumOverRanks = Callable[[Sequence[float]], Sequence[float]]


def advantages(
    rewards: Tensor, mask: Tensor, group_size: int, settings: LossSettings, divergence: Tensor | None, over_ranks: SumOverRanks
) -> Tensor:
    """The advantages of this process's rollouts, whose groups are whole: shape (rollouts, 1), or (rollouts, tokens) if they differ.

    ``rewards``: float, shape (rollouts,), NaN without a reward: such a rollout is in no statistic, and its advantage is 0.
    ``mask``: float, shape (rollouts, tokens), 1 for learnt tokens. ``divergence``: float, shape (rollouts, tokens), if the KL term
    is taken off the reward. ``over_ranks``: sums over all processes.
    """
    returns = _returns(rewards, mask, settings, divergence)
    groups = returns.unflatten(0, (-1, group_size))
    if settings.advantage_baseline == "batch_mean":
        centred = returns - _over_tokens(returns, mask, over_ranks)[0]
    else:
        centred = (groups - groups.nanmean(1, keepdim=True)).flatten(0, 1)
    if settings.advantage_baseline == "leave_one_out":
        n = (~groups.isnan()).sum(1, keepdim=True)
        centred = (centred.unflatten(0, (-1, group_size)) * n / (n - 1).clamp(min=1)).flatten(0, 1)
    if settings.advantage_scale == "group_std":
        deviation = _deviation(groups).expand_as(groups).flatten(0, 1)
        centred = centred / (deviation + LEAST_DEVIATION)
    elif settings.advantage_scale == "batch_std":
        mean, deviation = _over_tokens(centred, mask, over_ranks)
        centred = (centred - mean) / (deviation + LEAST_DEVIATION)
    return centred.nan_to_num(0.0)


def _returns(rewards: Tensor, mask: Tensor, settings: LossSettings, divergence: Tensor | None) -> Tensor:
    """The rewards, less the divergence: of the tokens from each on if the baseline is by token, else of the whole rollout."""
    if divergence is None:
        return rewards.unsqueeze(1)
    to_come = (divergence * mask).flip(1).cumsum(1).flip(1)
    of_each = to_come if settings.advantage_baseline == "batch_mean" else to_come[:, :1]
    return rewards.unsqueeze(1) - settings.kl_coefficient * of_each


def _deviation(groups: Tensor) -> Tensor:
    """Sample standard deviation of each group's rewards, shape (groups, 1, 1); 0 with fewer than two."""
    n = (~groups.isnan()).sum(1, keepdim=True)
    squares = (groups - groups.nanmean(1, keepdim=True)).square().nansum(1, keepdim=True)
    return (squares / (n - 1).clamp(min=1)).sqrt()


def _over_tokens(values: Tensor, mask: Tensor, over_ranks: SumOverRanks) -> tuple[float, Tensor]:
    """Mean and standard deviation over all learnt tokens of the step."""
    weights = mask * ~values.isnan()
    known = values.nan_to_num(0.0)
    n, total = over_ranks([float(weights.sum()), float((known * weights).sum())])
    mean = total / max(n, 1.0)
    (squares,) = over_ranks([float(((known - mean).square() * weights).sum())])
    return mean, torch.tensor(squares / max(n, 1.0), dtype=values.dtype, device=values.device).sqrt()


def overlong_penalties(lengths: Tensor, max_tokens: int, share: float, penalty: float) -> Tensor:
    """What each rollout loses of its reward: 0 up to ``1 - share`` of ``max_tokens``, from there rising to ``penalty`` at the end.

    DAPO, arXiv:2503.14476, equation 13, whose value it is with the sign turned. ``lengths``: int64, shape (rollouts,), in tokens.
    """
    if not share:
        return torch.zeros_like(lengths, dtype=torch.float32)
    last = share * max_tokens
    return penalty * ((lengths.float() - (max_tokens - last)) / last).clamp(0, 1)
