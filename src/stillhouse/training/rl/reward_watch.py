"""Callbacks for a reward that plateaus or is constant."""

import sys
from collections.abc import Sequence
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from stillhouse.execution.contract import StageInputs
from stillhouse.training.rl import curriculum
from stillhouse.training.rl.config import Plateau
from stillhouse.vocabulary import environment

CONSTANT_STEPS = 20
"""Steps with exactly the same reward after which the run warns; the papers give no value."""


def step_rewards(state: TrainerState) -> list[float]:
    """The mean reward of every step so far, restarts included, without steps in which nothing could be verified."""
    return [entry["reward"] for entry in state.log_history if entry.get("reward") is not None]


class StopAtPlateau(TrainerCallback):
    """Ends the stage once the reward has stopped rising."""

    def __init__(self, plateau: Plateau, inputs: StageInputs) -> None:
        """``plateau``: what counts as one."""
        self._plateau, self._inputs = plateau, inputs

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Whenever the trainer logs: every step, and a summary at the end."""
        if control.should_training_stop:
            return
        if curriculum.plateaued(step_rewards(state), self._plateau.window, self._plateau.least_gain):
            control.should_training_stop = True
            self._inputs.log({"train/plateau_step": state.global_step}, state.global_step)


class WarnOfConstantReward(TrainerCallback):
    """Warns when the reward was the same in ``STILLHOUSE_CONSTANT_STEPS`` steps, and again after as many more."""

    def __init__(self, inputs: StageInputs) -> None:
        """Raises BadConfig for fewer than two steps."""
        self._steps = environment.whole("STILLHOUSE_CONSTANT_STEPS", CONSTANT_STEPS, least=2)
        self._inputs = inputs

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Whenever the trainer logs: every step, and a summary without a reward at the end."""
        if (logs or {}).get("reward") is None:
            return
        rewards = step_rewards(state)
        n = equal_at_the_end(rewards)
        self._inputs.log({"train/reward_constant_steps": n}, state.global_step)
        if n % self._steps == 0 and state.is_world_process_zero:
            print(
                f"warning: the reward was {rewards[-1]:g} in each of the last {n} steps, so nothing is learnt from it; "
                "look at the sample rollouts, and at the verifier's counts",
                file=sys.stderr, flush=True,
            )  # fmt: skip


def equal_at_the_end(numbers: Sequence[float]) -> int:
    """How many of the last numbers are equal; 1 if the last two differ, 0 without numbers."""
    n = 0
    for number in reversed(numbers):
        if number != numbers[-1]:
            break
        n += 1
    return n
