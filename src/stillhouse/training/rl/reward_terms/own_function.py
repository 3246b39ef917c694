"""A term of the reward that is a function of the user's own.

To add one, write a function like ``RewardFunction`` and name it in a recipe: ``rewards: [{kind: "module:attribute"}]``, or by an
entry point of the group ``stillhouse.rewards``.
"""

import inspect
from collections.abc import Sequence
from typing import Protocol, cast

from stillhouse.errors import BadConfig
from stillhouse.execution import extensions
from stillhouse.training.rl.deadline_calls import CallsInTime
from stillhouse.training.rl.reward_terms.config import KINDS, FunctionTerm
from stillhouse.training.rl.reward_terms.rollout import Rollout, TermReward
from stillhouse.vocabulary.masking import one_line


class RewardFunction(Protocol):
    """What one rollout is worth: 1 for a correct response and 0 for a wrong one, or any other finite number.

    None says that it cannot be rewarded: it gets no gradient. An exception does the same and is counted as a failure.
    """

    def __call__(self, rollout: Rollout) -> float | None:
        """The reward."""


class FunctionReward:
    """Calls the function for one rollout after the other."""

    def __init__(self, config: FunctionTerm) -> None:
        """Raises BadConfig if the function cannot be imported, or does not take a rollout."""
        self._call = CallsInTime(_loaded(config.kind), config.timeout_s)

    def preflight(self) -> None:
        """Nothing is left to be found out: the function is imported."""

    def score(self, rollouts: Sequence[Rollout]) -> list[TermReward]:
        """See RewardTerm."""
        return [self._reward(rollout) for rollout in rollouts]

    def _reward(self, rollout: Rollout) -> TermReward:
        try:
            value = self._call(rollout)
            return TermReward.of(None if value is None else float(value))
        except TimeoutError as error:
            return TermReward.failed("timeout", one_line(error))
        except Exception as error:  # noqa: BLE001 # the user's code may raise anything; a failure is counted, it does not end the run
            return TermReward.failed("error", f"{type(error).__name__}: {one_line(error)}")


def _loaded(kind: str) -> RewardFunction:
    function = extensions.load("rewards", kind, KINDS)
    subject = f"reward {kind.partition('@')[0]}"
    if not callable(function) or inspect.iscoroutinefunction(function):
        msg = f"{subject}: {type(function).__name__} is not a plain function; write `def reward(rollout)` that returns a number"
        raise BadConfig(msg)
    extensions.require_one_argument(function, subject, "the rollout")
    return cast("RewardFunction", function)
