"""Callbacks for a reward that plateaus or is constant, and for steps that teach nothing."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from stillhouse.errors import EngineFailed
from stillhouse.execution.contract import StageInputs
from stillhouse.training.rl import curriculum
from stillhouse.training.rl.config import Plateau
from stillhouse.vocabulary import environment

CONSTANT_STEPS = 20
"""Steps with exactly the same reward after which the run warns; the papers give no value."""

DEAD_STEPS = 20
"""Steps without anything to learn after which the run stops; the papers give no value."""
LEAST_DEAD_STEPS = 3
"""A run of at least so many steps, none of which taught anything, is an error at its end too."""


def step_rewards(state: TrainerState) -> list[float]:
    """The mean reward of every step so far, restarts included, without steps in which nothing could be verified.

    With questions that are asked again, of all rollouts that the step wrote: those it learns from are chosen by their rewards.
    """
    return [entry.get("reward_asked", entry["reward"]) for entry in state.log_history if entry.get("reward") is not None]


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


class StopWithoutLearning(TrainerCallback):
    """Stops a run that does not learn: in ``STILLHOUSE_DEAD_STEPS`` steps in a row, or in all of its steps."""

    def __init__(self, max_tokens: int, end_token: str) -> None:
        """``max_tokens``: where rollouts are cut. ``end_token``: what would end them. Raises BadConfig for fewer than two steps."""
        self._steps = environment.whole("STILLHOUSE_DEAD_STEPS", DEAD_STEPS, least=2)
        self._max_tokens, self._end_token = max_tokens, end_token

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Whenever the trainer logs: every step, and a summary at the end. Raises EngineFailed."""
        steps = [entry for entry in state.log_history if "grad_norm" in entry]
        for is_dead, problem in ((_is_cut, self._cut), (_has_no_gradient, _without_gradient)):
            n = _number_at_the_end(steps, is_dead)
            is_whole_run = n == len(steps) >= LEAST_DEAD_STEPS and state.global_step >= state.max_steps
            if n >= self._steps or is_whole_run:
                msg = f"rl: nothing is learnt: in each of the last {n} steps {problem(steps[-1])}"
                raise EngineFailed(msg)

    def _cut(self, step: Mapping[str, float]) -> str:
        return (
            f"every rollout was cut at max_tokens {self._max_tokens}, before it ended with {self._end_token}, and rewards were "
            "equal; raise max_tokens, or have sft teach the model to end its turn"
        )


def _is_cut(step: Mapping[str, float]) -> bool:
    """Whether no rollout of a step ended, and no question's rollouts differ in reward."""
    return step.get("completions/clipped_ratio") == 1 and step.get("frac_reward_zero_std") == 1


def _has_no_gradient(step: Mapping[str, float]) -> bool:
    return step["grad_norm"] == 0


def _without_gradient(step: Mapping[str, float]) -> str:
    """Why a step's gradient was 0, in words."""
    if step.get("without_reward") == 1:
        why = "no rollout had a reward: look at rewards/NAME/failures, and at the column failures of the sample rollouts"
    elif step.get("frac_reward_zero_std") == 1:
        why = f"all rollouts of a question had the same reward, {step.get('reward', 0):g} in the mean: take other questions"
    else:
        why = "all rollouts were left out of the loss: look at mask_truncated and completions/clipped_ratio"
    return f"the gradient was 0, and {why}"


def _number_at_the_end(steps: Sequence[Mapping[str, float]], is_dead: Callable[[Mapping[str, float]], bool]) -> int:
    """How many of the last steps are dead."""
    return next((n for n, step in enumerate(reversed(steps)) if not is_dead(step)), len(steps))


def equal_at_the_end(numbers: Sequence[float]) -> int:
    """How many of the last numbers are equal; 1 if the last two differ, 0 without numbers."""
    n = 0
    for number in reversed(numbers):
        if number != numbers[-1]:
            break
        n += 1
    return n
