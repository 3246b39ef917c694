"""What is said, and done, about a reward that no longer rises, or does not move at all."""

import sys
from typing import TYPE_CHECKING, Any

from stillhouse.execution import environment
from stillhouse.training.rl import curriculum

if TYPE_CHECKING:
    from stillhouse.execution.contract import StageInputs

CONSTANT_STEPS = 20
"""Steps of the very same reward after which the run says so; the papers give no value."""


def rewards(state: Any) -> list[float]:
    """The mean reward of every step so far, without steps in which nothing could be verified. It survives a restart."""
    return [entry["reward"] for entry in state.log_history if entry.get("reward") is not None]


def plateau(window: int, least_gain: float, inputs: "StageInputs") -> Any:
    """A ``TrainerCallback`` that ends the stage once the reward has stopped rising."""
    from transformers import TrainerCallback

    class Plateau(TrainerCallback):  # type: ignore[misc]
        """Looks at the last two windows."""

        def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            """Whenever the trainer logs: every step, and a summary at the end."""
            if not control.should_training_stop and curriculum.plateaued(rewards(state), window, least_gain):
                control.should_training_stop = True
                inputs.log({"train/plateau_step": state.global_step}, state.global_step)

    return Plateau()


def constant_reward(inputs: "StageInputs") -> Any:
    """A ``TrainerCallback`` that says so when the reward was the same in so many steps, and again after as many more.

    ``STILLHOUSE_CONSTANT_STEPS`` says how many. Raises BadConfig for fewer than two.
    """
    from transformers import TrainerCallback

    steps = environment.whole("STILLHOUSE_CONSTANT_STEPS", CONSTANT_STEPS, least=2)

    class Constant(TrainerCallback):  # type: ignore[misc]
        """Counts equal rewards from the end."""

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            """Whenever the trainer logs: every step, and a summary without a reward at the end."""
            if (logs or {}).get("reward") is None:
                return
            n = equal_at_the_end(rewards(state))
            inputs.log({"train/reward_constant_steps": n}, state.global_step)
            if n % steps == 0 and state.is_world_process_zero:
                print(
                    f"warning: the reward was {rewards(state)[-1]:g} in each of the last {n} steps: nothing is learnt from it; "
                    "look at the sample rollouts, and at the verifier's counts",
                    file=sys.stderr, flush=True,
                )  # fmt: skip

    return Constant()


def equal_at_the_end(numbers: list[float]) -> int:
    """How many of the last numbers are the same; 1 where the last two differ."""
    n = 0
    for each in reversed(numbers):
        if each != numbers[-1]:
            break
        n += 1
    return n
