"""The losses of the rl stage's algorithms, each as its paper prints it, rollout by rollout: what ``training.rl.losses`` must do."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class Rollout:
    """One rollout without padding; tensors of shape (tokens,)."""

    score: float | None
    """None if its verification failed."""
    logprobs: Tensor
    old: Tensor
    """Log-probabilities by the policy that wrote it."""
    reference: Tensor
    entropy: Tensor
    is_cut: bool = False
    """Cut at max_tokens, where that leaves it out of the loss."""

    @property
    def is_learnt(self) -> bool:
        return self.score is not None and not self.is_cut

    @property
    def ratio(self) -> Tensor:
        return torch.exp(self.logprobs - self.old)

    @property
    def k3(self) -> Tensor:
        return torch.exp(self.reference - self.logprobs) - (self.reference - self.logprobs) - 1


Step = Sequence[Rollout]


def groups(values: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def clipped(ratio: Tensor, advantage: Tensor | float, low: float, high: float) -> Tensor:
    return torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)


def scores(step: Step) -> list[float | None]:
    return [rollout.score for rollout in step]


def normalised(values: Sequence[float | None], size: int, *, scaled: bool = True) -> list[float]:
    """The value minus the mean of its group, over its group's deviation; 0 without a value."""
    result = []
    for group in groups(values, size):
        known = [value for value in group if value is not None]
        scale = (statistics.stdev(known) if len(known) > 1 else 0.0) + 1e-4 if scaled else 1.0
        result += [0.0 if value is None else (value - statistics.mean(known)) / scale for value in group]
    return result


def n_tokens(step: Step) -> int:
    return sum(len(rollout.logprobs) for rollout in step if rollout.is_learnt)


def grpo(step: Step, size: int, kl: float, entropy: float, max_tokens: int) -> Tensor:
    """DeepSeekMath, equation 3, and an entropy bonus by token."""
    loss, advantages = torch.zeros((), dtype=step[0].logprobs.dtype), normalised(scores(step), size)
    for rollout, advantage in zip(step, advantages, strict=True):
        if rollout.is_learnt:
            tokens = clipped(rollout.ratio, advantage, 0.2, 0.2) - kl * rollout.k3
            loss = loss - tokens.sum() / len(tokens) / len(step)
            loss = loss - entropy * rollout.entropy.sum() / n_tokens(step)
    return loss


def dr_grpo(step: Step, size: int, kl: float, entropy: float, max_tokens: int) -> Tensor:
    """Dr. GRPO, equation 4."""
    advantages = normalised(scores(step), size, scaled=False)
    tokens = [
        clipped(rollout.ratio, advantage, 0.2, 0.2).sum()
        for rollout, advantage in zip(step, advantages, strict=True) if rollout.is_learnt
    ]  # fmt: skip
    return -sum(tokens) / (len(step) * max_tokens)


def punished(step: Step, max_tokens: int) -> list[float | None]:
    """DAPO, equation 13."""
    cache, result = 0.2 * max_tokens, []
    for rollout in step:
        length = len(rollout.logprobs)
        length_reward = 0.0 if length <= max_tokens - cache else ((max_tokens - cache) - length) / cache
        result.append(None if rollout.score is None else rollout.score + length_reward)
    return result


def dapo(step: Step, size: int, kl: float, entropy: float, max_tokens: int) -> Tensor:
    """DAPO, equation 8 with the punishment of equation 13."""
    advantages = normalised(punished(step, max_tokens), size)
    tokens = [
        clipped(rollout.ratio, advantage, 0.2, 0.28).sum()
        for rollout, advantage in zip(step, advantages, strict=True) if rollout.is_learnt
    ]  # fmt: skip
    return -sum(tokens) / n_tokens(step)


def gspo(step: Step, size: int, kl: float, entropy: float, max_tokens: int) -> Tensor:
    """GSPO, equations 5 to 7."""
    losses = []
    for rollout, advantage in zip(step, normalised(scores(step), size), strict=True):
        if rollout.is_learnt:
            ratio = torch.exp((rollout.logprobs - rollout.old).mean())
            losses.append(clipped(ratio, advantage, 3e-4, 4e-4))
    return -sum(losses) / len(step)


def cispo(step: Step, size: int, kl: float, entropy: float, max_tokens: int) -> Tensor:
    """MiniMax-M1, equations 4 and 5, without a lower bound; the upper one is 1 + 4."""
    tokens = [
        (rollout.ratio.clamp(max=5.0).detach() * advantage * rollout.logprobs).sum()
        for rollout, advantage in zip(step, normalised(scores(step), size), strict=True) if rollout.is_learnt
    ]  # fmt: skip
    return -sum(tokens) / n_tokens(step)


def rloo(step: Step, size: int, kl: float, entropy: float, max_tokens: int) -> Tensor:
    """Back to Basics, equation 8, its reward with the KL penalty of equation 4; the ratio stands for the policy that wrote it."""
    losses = []
    for group in groups(step, size):
        rewards = [None if rollout.score is None else rollout.score - kl * float(penalty(rollout).sum()) for rollout in group]
        for index, rollout in enumerate(group):
            others = [reward for other, reward in enumerate(rewards) if reward is not None and other != index]
            if rollout.is_learnt and others:
                losses.append(rollout.ratio.sum() * (rewards[index] - statistics.mean(others)))
    return -sum(losses) / len(step)


def penalty(rollout: Rollout) -> Tensor:
    """k1 by token; a rollout out of the loss has none."""
    return (rollout.old - rollout.reference if rollout.is_learnt else torch.zeros_like(rollout.old)).detach()


def reinforce_pp(step: Step, size: int, kl: float, entropy: float, max_tokens: int) -> Tensor:
    """REINFORCE++, equations 8 to 10: the return of a token is the score less the penalties from it on."""
    learnt = [rollout for rollout in step if rollout.is_learnt]
    returns = [
        torch.stack([rollout.score - kl * penalty(rollout)[place:].sum() for place in range(len(rollout.old))])
        for rollout in learnt
    ]
    return _by_token(learnt, returns)


def reinforce_pp_baseline(step: Step, size: int, kl: float, entropy: float, max_tokens: int) -> Tensor:
    """REINFORCE++ with baseline: the group's mean, the step's deviation, and k2 in the loss."""
    centred = normalised(scores(step), size, scaled=False)
    learnt = [(rollout, value) for rollout, value in zip(step, centred, strict=True) if rollout.is_learnt]
    loss = _by_token([rollout for rollout, _ in learnt], [torch.full_like(rollout.old, value) for rollout, value in learnt])
    return loss + kl * sum(((rollout.logprobs - rollout.reference) ** 2 / 2).sum() for rollout, _ in learnt) / n_tokens(step)


def _by_token(learnt: Step, returns: Sequence[Tensor]) -> Tensor:
    everything = torch.cat(list(returns))
    mean, deviation = everything.mean(), everything.std(correction=0) + 1e-4
    tokens = [
        clipped(rollout.ratio, (own - mean) / deviation, 0.2, 0.2).sum() for rollout, own in zip(learnt, returns, strict=True)
    ]
    return -sum(tokens) / len(everything)


ORACLES: dict[str, Callable[[Step, int, float, float, int], Tensor]] = {
    "grpo": grpo, "dr_grpo": dr_grpo, "dapo": dapo, "gspo": gspo, "cispo": cispo, "rloo": rloo, "reinforce_pp": reinforce_pp,
    "reinforce_pp_baseline": reinforce_pp_baseline,
}  # fmt: skip
"""By the algorithm's name: (step, group size, coefficients of KL and entropy, longest rollout) -> loss."""
