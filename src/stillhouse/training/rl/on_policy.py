"""TRL's GRPOTrainer, with what the rl stage promises of every step.

The sampler is proven to have the weights, a rollout that could not be verified is out of the loss, and a step says where its
seconds went.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from stillhouse.execution import processes
from stillhouse.training.rl.logprob_check import Probe
from stillhouse.training.rl.rewards import Rewards


def proven(trainer_class: Any, probe: Probe) -> Any:
    """The trainer class, with the promises."""
    logging.getLogger("trl.trainer.grpo_trainer").addFilter(_not_about_unverified)

    class Proven(trainer_class):  # type: ignore[misc]
        """Checks the sampler at every sync, and masks what has no reward."""

        _probed_step = -1
        _seconds: dict[str, float]

        def _generate_single_turn(self, *given: Any, **named: Any) -> Any:
            """Rollouts of one batch, by a sampler that has just been proven to have the weights."""
            if self._probed_step != self.state.global_step:
                _prove(self, probe)
                self._probed_step = self.state.global_step
            with _clock(self, "rollout"):
                return super()._generate_single_turn(*given, **named)

        def _calculate_rewards(self, *given: Any, **named: Any) -> Any:
            """Rewards of all ranks, NaN where there is none; this rank's are remembered."""
            with _clock(self, "verify"):
                rewards = super()._calculate_rewards(*given, **named)
            start = self.accelerator.process_index * len(given[0])
            self._unverified = rewards[start : start + len(given[0])].isnan().all(dim=1)
            return rewards

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            """The step's batch. A rollout without a reward has no advantage; here it leaves KL term and entropy bonus too."""
            self._seconds = {}
            made = super()._generate_and_score_completions(inputs)
            slowest = processes.combined(list(self._seconds.values()), self.accelerator.device, "max")
            padded, places = processes.combined(padding(made, self.processing_class.pad_token_id), self.accelerator.device, "sum")
            _note(self, dict(zip(self._seconds, slowest, strict=True)) | {"padding_share": padded / places})
            made["completion_mask"] = made["completion_mask"] * (~self._unverified).unsqueeze(1)
            return made

    Proven.__name__ = trainer_class.__name__
    return Proven


def memory(rewards: Rewards, probe: Probe) -> tuple[Callable[[], dict[str, Any]], Callable[[dict[str, Any]], None]]:
    """What a checkpoint keeps of both, and how they get it back."""

    def recall(remembered: dict[str, Any]) -> None:
        rewards.recall(remembered["rewards"])
        probe.recall(remembered["probe"])

    return lambda: {"rewards": rewards.remember(), "probe": probe.remember()}, recall


def table(rollouts: Sequence[dict[str, Any]]) -> str:
    """Sample rollouts in the form that MLflow shows as a table."""
    columns = list(rollouts[0]) if rollouts else []
    return json.dumps({"columns": columns, "data": [[each[name] for name in columns] for each in rollouts]}, ensure_ascii=False)


def _prove(trainer: Any, probe: Probe) -> None:
    """Hand the weights over and compare; TRL, which would do the first after, sees that it was done."""
    if trainer.use_vllm and trainer._last_loaded_step != trainer.state.global_step:
        with _clock(trainer, "sync"):
            trainer.vllm_generation.sync_weights()
        trainer._last_loaded_step = trainer.state.global_step
    with _clock(trainer, "probe"):
        _note(trainer, probe.check(trainer))


@contextmanager
def _clock(trainer: Any, part: str) -> Iterator[None]:
    """Note the seconds that the block takes on this rank."""
    begun = time.perf_counter()
    yield
    trainer._seconds[f"seconds/{part}"] = time.perf_counter() - begun


def _note(trainer: Any, numbers: dict[str, float]) -> None:
    """Log numbers with the step's."""
    for name, value in numbers.items():
        trainer._metrics["train" if trainer.model.training else "eval"][name].append(value)


def padding(batch: Any, pad: int) -> tuple[int, int]:
    """How many of the batch's places are padding, and how many there are; rollouts out of the loss are no padding."""
    written = batch["completion_mask"].bool() | (batch["completion_ids"] != pad)
    n_tokens = int(batch["prompt_mask"].sum()) + int(written.sum())
    n_places = int(batch["prompt_ids"].numel()) + int(batch["completion_ids"].numel())
    return n_places - n_tokens, n_places


def _not_about_unverified(record: logging.LogRecord) -> bool:
    """TRL warns, with all its texts, of every batch that has a rollout without reward: the metric verifier_failures counts them."""
    return not record.getMessage().startswith("All reward functions returned None")
