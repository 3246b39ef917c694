"""A term of the reward that is a function of the user's own.

To add one, write a function like ``RewardFunction`` and name it in a recipe: ``rewards: [{kind: "module:attribute"}]``, or by an
entry point of the group ``stillhouse.rewards``.
"""

import inspect
import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Protocol, cast

from stillhouse.errors import BadConfig
from stillhouse.execution import extensions
from stillhouse.training.rl.reward_terms.config import KINDS, FunctionTerm
from stillhouse.training.rl.reward_terms.rollout import Rollout, TermReward
from stillhouse.vocabulary.masking import one_line


class RewardFunction(Protocol):
    """What one rollout is worth: 1 for a correct response and 0 for a wrong one, or any other finite number.

    None says that it cannot be rewarded: it gets no gradient. An exception does the same and is counted as a failure.
    """

    def __call__(self, rollout: Rollout) -> float | None:
        """The reward."""


_Call = tuple[Rollout, "SimpleQueue[TermReward]"]


class FunctionReward:
    """Calls the function for one rollout after the other, in a thread that is left behind if a call does not return in time."""

    def __init__(self, config: FunctionTerm) -> None:
        """Raises BadConfig if the function cannot be imported, or does not take a rollout."""
        self._function = _loaded(config.kind)
        self._timeout_s = config.timeout_s
        self._calls = self._started()

    def preflight(self) -> None:
        """Nothing is left to be found out: the function is imported."""

    def score(self, rollouts: Sequence[Rollout]) -> list[TermReward]:
        """See RewardTerm."""
        return [self._in_time(rollout) for rollout in rollouts]

    def _in_time(self, rollout: Rollout) -> TermReward:
        replies: SimpleQueue[TermReward] = SimpleQueue()
        self._calls.put((rollout, replies))
        try:
            return replies.get(timeout=self._timeout_s)
        except Empty:
            self._calls.put(None)
            self._calls = self._started()
            return TermReward.failed("timeout", f"no reward after {self._timeout_s:g} s")

    def _started(self) -> "SimpleQueue[_Call | None]":
        """A new thread's calls; None ends it."""
        calls: SimpleQueue[_Call | None] = SimpleQueue()
        threading.Thread(target=self._serve, args=(calls,), daemon=True).start()
        return calls

    def _serve(self, calls: "SimpleQueue[_Call | None]") -> None:
        while (call := calls.get()) is not None:
            rollout, replies = call
            replies.put(self._reward(rollout))

    def _reward(self, rollout: Rollout) -> TermReward:
        try:
            value = self._function(rollout)
            return TermReward.of(None if value is None else float(value))
        except Exception as error:  # noqa: BLE001 # the user's code may raise anything; a failure is counted, it does not end the run
            return TermReward.failed("error", f"{type(error).__name__}: {one_line(error)}")


def _loaded(kind: str) -> RewardFunction:
    function = extensions.load("rewards", kind, KINDS)
    subject = f"reward {kind.partition('@')[0]}"
    if not callable(function) or inspect.iscoroutinefunction(function):
        msg = f"{subject}: {type(function).__name__} is not a plain function; write `def reward(rollout)` that returns a number"
        raise BadConfig(msg)
    try:
        inspect.signature(function).bind(object())
    except TypeError as error:
        msg = f"{subject}: it takes {inspect.signature(function)}, and is called with one argument, the rollout: {error}"
        raise BadConfig(msg) from error
    except ValueError:
        pass  # a built-in without a signature
    return cast("RewardFunction", function)
