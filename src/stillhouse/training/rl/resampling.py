"""Dynamic sampling inside TRL's GRPOTrainer: a step's rollouts are written and rewarded group by group before TRL gets them.

A group is flat if its rollouts do not differ in reward: it teaches nothing. Flat groups give way to groups of other questions, each
on its own rank.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from trl import GRPOTrainer

from stillhouse.execution import processes
from stillhouse.training.rl.question_choice import Outcomes, QuestionChooser

PromptRow = Mapping[str, Any]
"""What TRL reads of a rollout: ``question_id`` and ``prompt``."""


@dataclass(frozen=True)
class Asking:
    """How the questions of a step come about."""

    chooser: QuestionChooser
    rows: Mapping[str, PromptRow]
    """By question id."""
    outcomes: Outcomes
    """Of all rollouts so far; the rewards keep it."""
    attempts: int
    """Most times that a step asks again for flat groups."""


@dataclass(frozen=True, slots=True)
class RolloutGroup:
    """The rollouts of one question."""

    row: PromptRow
    completion_ids: list[list[int]]
    logprobs: list[list[float]] | None
    """By vLLM, of the tokens; None with transformers."""
    rewards: torch.Tensor
    """Float, shape (rollouts, reward functions), NaN where a function gave none."""
    totals: torch.Tensor
    """Their weighted sums: float, shape (rollouts,), NaN for a rollout without a reward."""

    @property
    def is_flat(self) -> bool:
        """Whether the rollouts that have a reward do not differ in it."""
        known = self.totals[~self.totals.isnan()]
        return bool(known.numel() < 2 or (known == known[0]).all())


class ResamplingMixin(GRPOTrainer):
    """A trainer that asks what a chooser says, if it has one, and asks again for flat groups."""

    _replayed: Sequence[RolloutGroup] | None = None
    """The step's groups, while TRL makes its batch of them."""

    def __init__(self, *, asking: Asking | None = None, **arguments: Any) -> None:
        """``arguments``: GRPOTrainer's."""
        self.asking = asking
        super().__init__(**arguments)

    def _generate_and_score_completions(self, inputs: list[PromptRow]) -> dict[str, torch.Tensor]:
        """The step's batch; with a chooser, ``inputs`` says only how many rollouts this rank writes."""
        if self.asking is None:
            batch: dict[str, torch.Tensor] = super()._generate_and_score_completions(inputs)
            return batch
        self._replayed = self._groups(self.asking, len(inputs) // self.num_generations)
        try:
            rows = [group.row for group in self._replayed for _ in range(self.num_generations)]
            batch = super()._generate_and_score_completions(rows)
        finally:
            self._replayed = None
        return batch

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        if self._replayed is None:
            return super()._generate_single_turn(*args, **kwargs)
        logprobs = None
        if self._replayed[0].logprobs is not None:
            logprobs = [row for group in self._replayed for row in group.logprobs or ()]
        return [ids for group in self._replayed for ids in group.completion_ids], logprobs

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self._replayed is None:
            rewards: torch.Tensor = super()._calculate_rewards(*args, **kwargs)
            return rewards
        own = torch.cat([group.rewards for group in self._replayed])
        return self.accelerator.gather(own)

    def _groups(self, asking: Asking, n: int) -> list[RolloutGroup]:
        """``n`` groups of this rank; all ranks ask the same number of times, and as many questions each time."""
        asked: list[str] = []
        groups = written = self._written(asking, n, asked)
        n_attempts = n_replaced = 0
        while n_attempts < asking.attempts and (n_flat := self._most([group.is_flat for group in groups])):
            fresh = self._written(asking, n_flat, asked)
            written = written + fresh
            better = [group for group in fresh if not group.is_flat]
            n_replaced += min(len(better), sum(group.is_flat for group in groups))
            groups = [better.pop(0) if group.is_flat and better else group for group in groups]
            n_attempts += 1
        self._log_asking(n, n_attempts, n_replaced, written)
        return groups

    def _most(self, flags: Sequence[bool]) -> int:
        """The largest number of true flags on any rank."""
        (n,) = processes.combined([sum(flags)], self.accelerator.device, "max")
        return int(n)

    def _written(self, asking: Asking, n: int, asked: list[str]) -> list[RolloutGroup]:
        """The rollouts of ``n`` further questions on each rank; ``asked``, those of the step so far on all ranks, grows by them."""
        size, rank = self.num_generations, self.accelerator.process_index
        question_ids = asking.chooser.take(n * processes.count(), asking.outcomes, asked)
        asked += question_ids
        own = [asking.rows[question_id] for question_id in question_ids[rank * n : (rank + 1) * n]]
        rows = [row for row in own for _ in range(size)]
        prompts = [row["prompt"] for row in rows]
        completion_ids, logprobs = self._generate_single_turn(*self._tokenize_prompts(prompts), size)
        texts = self.processing_class.batch_decode(completion_ids, skip_special_tokens=True)
        completions = [[{"role": "assistant", "content": text}] for text in texts]
        rewards = self._calculate_rewards(rows, prompts, completions, completion_ids)[rank * len(rows) : (rank + 1) * len(rows)]
        totals, spans = self._total_rewards(rewards), [slice(at, at + size) for at in range(0, len(rows), size)]
        return [
            RolloutGroup(row, completion_ids[span], logprobs and logprobs[span], rewards[span], totals[span])
            for row, span in zip(own, spans, strict=True)
        ]

    def _total_rewards(self, rewards: torch.Tensor) -> torch.Tensor:
        """Weighted sums of the reward functions: float, shape (rollouts,), NaN for a rollout to which none gave a reward."""
        totals = (rewards * self.reward_weights.to(rewards.device)).nansum(dim=1)
        return totals.masked_fill(rewards.isnan().all(dim=1), torch.nan)

    def _log_asking(self, n: int, n_attempts: int, n_replaced: int, written: Sequence[RolloutGroup]) -> None:
        """Metrics of the step: how often it asked again, the share of groups replaced, and the mean reward of all it wrote."""
        totals = torch.cat([group.totals for group in written])
        counts = [n, n_replaced, float(totals.nansum()), int((~totals.isnan()).sum())]
        n_groups, n_changed, total, n_rewards = processes.combined(counts, self.accelerator.device, "sum")
        metrics = {"refill_attempts": n_attempts, "refilled_share": n_changed / n_groups}
        metrics |= {"reward_asked": total / n_rewards} if n_rewards else {}
        for name, value in metrics.items():
            self._metrics["train"][name].append(float(value))
