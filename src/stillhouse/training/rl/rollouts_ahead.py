"""Rollouts one step ahead: while a step's weights are updated, the servers write the rollouts of the next step with those before.

The rollouts of a step are then one update older than the weights they train. The loss weighs each token by the truncated ratio of
the trainer's probability to that with which it was written, as it does for the engines' different rounding.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from trl import GRPOTrainer

from stillhouse.errors import BadConfig
from stillhouse.training.rl import rollout_servers
from stillhouse.training.rl.config import RlConfig

Prompts = Sequence[Sequence[int]]
"""Token ids of prompts."""
Reply = dict[str, list[Any]]
"""Rollouts in the order of their prompts, as TRL's client returns them."""
Remember = Callable[[], dict[str, Any]]
Recall = Callable[[dict[str, Any]], None]

KEY = "rollouts_ahead"
"""Of the rollouts in what a checkpoint remembers."""


class RolloutsAhead:
    """The rollouts of the next step, being written or ready."""

    def __init__(self, upcoming: Callable[[], Prompts]) -> None:
        """``upcoming`` returns the prompts of the step after the one in flight; none after the last."""
        self._upcoming = upcoming
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[Reply] | None = None
        self._prompts: Prompts = ()
        self._ready: dict[tuple[int, ...], Reply] = {}
        """By prompt."""

    def wait(self) -> None:
        """Wait for what is being written: no server may get other weights meanwhile. Raises EngineLost if no server is left."""
        if self._writing is not None:
            reply, self._writing = self._writing.result(), None
            n = len(reply["completion_ids"]) // len(self._prompts)
            replies = rollout_servers.by_prompt(reply, n)
            self._ready = {tuple(prompt): part for prompt, part in zip(self._prompts, replies, strict=True)}

    def rollouts(self, prompts: Prompts, write: Callable[[Prompts], Reply]) -> Reply:
        """The step's rollouts: those that are ready, the others by ``write``; then the servers begin the next step's."""
        self.wait()
        missing = [prompt for prompt in prompts if tuple(prompt) not in self._ready]
        if missing:
            written = write(missing)
            n = len(written["completion_ids"]) // len(missing)
            parts = rollout_servers.by_prompt(written, n)
            self._ready |= {tuple(prompt): part for prompt, part in zip(missing, parts, strict=True)}
        reply = rollout_servers.joined([self._ready[tuple(prompt)] for prompt in prompts])
        self._ready, self._prompts = {}, self._upcoming()
        if self._prompts:
            self._writing = self._thread.submit(write, self._prompts)
        return reply

    def remember(self) -> list[Any]:
        """What is ready, for a checkpoint; waits for what is being written."""
        self.wait()
        return [[list(prompt), reply] for prompt, reply in self._ready.items()]

    def recall(self, remembered: Sequence[Any]) -> None:
        """Go on with the rollouts of an earlier try."""
        self._ready = {tuple(prompt): reply for prompt, reply in remembered}


def require_support(config: RlConfig) -> None:
    """Raise BadConfig if nothing could write rollouts during an update, or nobody knows yet what is asked next."""
    if not config.rollouts_ahead:
        return
    fields = {
        "dynamic_sampling": config.dynamic_sampling is not None, "active_sampling": config.active_sampling is not None,
        "environment": config.environment is not None, "validation": config.validation is not None,
        "steps_per_batch": config.steps_per_batch > 1, "engine_correction: none": config.engine_correction == "none",
    }  # fmt: skip
    if other := next((field for field, is_set in fields.items() if is_set), None):
        msg = f"rollouts_ahead={config.rollouts_ahead}: not with {other}; leave out one of the two"
        raise BadConfig(msg)
    if config.engine != "vllm" or not rollout_servers.addresses():
        msg = (
            f"rollouts_ahead={config.rollouts_ahead}: only servers write rollouts during an update; set engine to vllm, and "
            "STILLHOUSE_ROLLOUT_SERVER"
        )
        raise BadConfig(msg)


def attach(trainer: GRPOTrainer, config: RlConfig, prompts: Sequence[Sequence[int]]) -> None:
    """Have the trainer's servers write ahead, if the config asks for it.

    ``prompts``: token ids of the question of every place in every step, one step after the other.
    """
    if config.rollouts_ahead and trainer.accelerator.is_main_process:

        def upcoming() -> Prompts:
            begin = (trainer.state.global_step + 1) * config.prompts_per_step
            return prompts[begin : begin + config.prompts_per_step]

        trainer.vllm_generation.vllm_client.ahead = RolloutsAhead(upcoming)


def remembered(trainer: GRPOTrainer, remember: Remember, recall: Recall) -> tuple[Remember, Recall]:
    """The same, with the rollouts that were written ahead."""
    ahead = getattr(trainer.vllm_generation.vllm_client, "ahead", None) if _is_served(trainer) else None
    if ahead is None:
        return remember, recall

    def recall_both(values: dict[str, Any]) -> None:
        recall(values)
        ahead.recall(values[KEY])

    return lambda: remember() | {KEY: ahead.remember()}, recall_both


def _is_served(trainer: GRPOTrainer) -> bool:
    return bool(trainer.use_vllm and trainer.args.vllm_mode == "server" and trainer.accelerator.is_main_process)
