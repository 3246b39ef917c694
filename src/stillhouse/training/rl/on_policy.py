"""TRL's GRPOTrainer with the guarantees of the rl stage for every step.

The rollout engine has the trained weights, a rollout that could not be verified stays out of the loss, and the logs say how the
step's time is spent.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from stillhouse.execution import processes
from stillhouse.training.checkpoints import FullDiskMixin
from stillhouse.training.loop import FiniteLossMixin
from stillhouse.training.machine import generation
from stillhouse.training.machine.fsdp import FsdpOnCpusMixin
from stillhouse.training.progress import MeasuredMixin
from stillhouse.training.rl.logprob_check import LogprobCheck
from stillhouse.training.rl.losses.advantages import overlong_penalties
from stillhouse.training.rl.policy_loss import PolicyLossMixin
from stillhouse.training.rl.question_choice import QuestionChooser
from stillhouse.training.rl.resampling import PromptRow, ResamplingMixin
from stillhouse.training.rl.rewards import Rewards
from stillhouse.training.rl.rollout_reuse import RolloutReuseMixin
from stillhouse.training.rl.unpadded_update import UnpaddedUpdateMixin


class OnPolicyGrpoTrainer(
    MeasuredMixin,
    FiniteLossMixin,
    FullDiskMixin,
    FsdpOnCpusMixin,
    PolicyLossMixin,
    UnpaddedUpdateMixin,
    RolloutReuseMixin,
    ResamplingMixin,
):
    """Syncs and checks the rollout engine before a step's rollouts, and masks rollouts without a reward."""

    _checked_step = -1
    _last_loaded_step: int
    """TRL's: the step whose weights vLLM has."""
    _seconds: dict[str, float]
    """Seconds of the current step by part, on this rank."""
    asked: list[str]
    """The question of each of this rank's rollouts."""
    _own_rewards: torch.Tensor
    """The rewards of this rank's rollouts: float, shape (rollouts,), NaN for a rollout without one."""

    def __init__(self, *, logprob_check: LogprobCheck, **arguments: Any) -> None:
        """``logprob_check``: compares trainer and rollout engine. ``arguments``: GRPOTrainer's."""
        self.logprob_check = logprob_check
        super().__init__(**arguments)

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        """Rollouts of one batch, by an engine that was just shown to have the trained weights."""
        if self._checked_step != self.state.global_step:
            self._sync_and_check()
            self._checked_step = self.state.global_step
        # vLLM in this process chooses its own precision.
        casting = nullcontext() if self.use_vllm else generation.cast_once(self.accelerator)
        with self._timed("rollout"), generation.suited(self.accelerator.unwrap_model(self.model)), casting:
            return super()._generate_single_turn(*args, **kwargs)

    def _calculate_rewards(self, inputs: Sequence[Mapping[str, Any]], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Rewards of all ranks, shape (rollouts, reward functions), NaN for none; remembers those of this rank."""
        with self._timed("verify"):
            rewards: torch.Tensor = super()._calculate_rewards(inputs, *args, **kwargs)
        start = self.accelerator.process_index * len(inputs)
        self._own_rewards = self._total_rewards(rewards[start : start + len(inputs)])
        return rewards

    def _generate_and_score_completions(self, inputs: list[PromptRow]) -> dict[str, torch.Tensor]:
        """The step's batch, with the config's advantages; a rollout without a reward is in no term of the loss."""
        self._seconds = {}
        self.asked = [row["question_id"] for row in inputs]
        batch: dict[str, torch.Tensor] = super()._generate_and_score_completions(inputs)
        slowest = processes.combined(list(self._seconds.values()), self.accelerator.device, "max")
        n_padding, n_tokens = processes.combined(
            padding(batch, self.processing_class.pad_token_id), self.accelerator.device, "sum"
        )  # fmt: skip
        self.log_with_step(
            dict(zip(self._seconds, slowest, strict=True)) | {"padding_share": 0.0 if self.packs_rollouts else n_padding / n_tokens}
        )
        rewards = self._own_rewards - self._overlong_penalties(batch["completion_mask"].sum(1))
        batch["completion_mask"] = batch["completion_mask"] * (~rewards.isnan()).unsqueeze(1)
        batch["advantages"] = self._advantages(batch, rewards)
        return batch

    def _overlong_penalties(self, lengths: torch.Tensor) -> torch.Tensor:
        """What this rank's rollouts lose of their rewards for their length: float, shape (rollouts,)."""
        settings = self.settings
        penalties = overlong_penalties(lengths, self.max_completion_length, settings.overlong_share, settings.overlong_penalty)
        if settings.overlong_share:
            total, n = processes.combined([float(penalties.sum()), len(penalties)], self.accelerator.device, "sum")
            self.log_with_step({"overlong_penalty": total / n})
        return penalties

    def _sync_and_check(self) -> None:
        """Copy the weights to vLLM and compare. TRL would sync afterwards, but sees that it was done for this step."""
        if self.use_vllm and self._last_loaded_step != self.state.global_step:
            with self._timed("sync"):
                self.vllm_generation.sync_weights()
            self._last_loaded_step = self.state.global_step
        with self._timed("probe"):
            self.log_with_step(self.logprob_check.check(self))

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        """Note the seconds that the block takes on this rank."""
        begin = time.perf_counter()
        yield
        self._seconds[f"seconds/{part}"] = self._seconds.get(f"seconds/{part}", 0.0) + time.perf_counter() - begin

    def log_with_step(self, metrics: Mapping[str, float]) -> None:
        """Add metrics to those that TRL logs for the step."""
        for name, value in metrics.items():
            self._metrics["train" if self.model.training else "eval"][name].append(value)


def memory(
    rewards: Rewards, check: LogprobCheck, chooser: QuestionChooser | None = None
) -> tuple[Callable[[], dict[str, Any]], Callable[[dict[str, Any]], None]]:
    """What a checkpoint keeps of them, as ``remember`` and ``recall`` for ``loop.train``."""

    def remember() -> dict[str, Any]:
        kept = {"rewards": rewards.remember(), "probe": check.remember()}
        return kept | ({"questions": chooser.remember()} if chooser else {})

    def recall(remembered: dict[str, Any]) -> None:
        rewards.recall(remembered["rewards"])
        check.recall(remembered["probe"])
        if chooser:
            chooser.recall(remembered["questions"])

    return remember, recall


def table(rollouts: Sequence[Mapping[str, Any]]) -> str:
    """Sample rollouts in the format that MLflow shows as a table."""
    columns = list(rollouts[0]) if rollouts else []
    data = [[rollout[name] for name in columns] for rollout in rollouts]
    return json.dumps({"columns": columns, "data": data}, ensure_ascii=False)


def padding(batch: Mapping[str, torch.Tensor], pad: int) -> tuple[int, int]:
    """The number of padding tokens in the batch, and of all tokens; rollouts out of the loss do not count as padding.

    ``prompt_ids``, ``prompt_mask``, ``completion_ids`` and ``completion_mask``: int64, shape (rollouts, tokens).
    """
    written = batch["completion_mask"].bool() | (batch["completion_ids"] != pad)
    n_written = int(batch["prompt_mask"].sum()) + int(written.sum())
    n_tokens = int(batch["prompt_ids"].numel()) + int(batch["completion_ids"].numel())
    return n_tokens - n_written, n_tokens


@contextmanager
def unverified_warnings_silenced() -> Iterator[None]:
    """Silence TRL's warning about a rollout without a reward while the block trains.

    TRL prints the texts of every batch with one; the metric ``without_reward`` counts them.
    """
    logger = logging.getLogger("trl.trainer.grpo_trainer")
    logger.addFilter(_is_not_about_unverified)
    try:
        yield
    finally:
        logger.removeFilter(_is_not_about_unverified)


def _is_not_about_unverified(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("All reward functions returned None")
