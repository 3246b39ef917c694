"""Ends a training in which a term of the reward fails too often: its rollouts are paid for, and teach nothing."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence

from stillhouse.errors import TooManyErrors
from stillhouse.training.rl.reward_terms.config import TermConfig
from stillhouse.training.rl.reward_terms.rollout import TermReward

WINDOW_STEPS = 10
"""Steps whose failures are looked at together: a service that dies late must not hide behind a long run."""
LEAST_ROLLOUTS = 64
"""Fewer rollouts of these steps say nothing about a rate."""


class FailureCeilings:
    """Counts the failures of each term, and compares those of the last steps with its ``max_failure_rate``."""

    def __init__(self, configs: Iterable[TermConfig]) -> None:
        """``configs``: the terms."""
        self._ceilings = {config.label: config.max_failure_rate for config in configs}
        self._steps: dict[str, deque[tuple[int, int]]] = {name: deque(maxlen=WINDOW_STEPS) for name in self._ceilings}
        self.failed: Counter[str] = Counter()
        """Failures by term, over the whole run."""

    def count(self, rollouts: Sequence[Mapping[str, TermReward]]) -> None:
        """Take in a step: what each term said of each rollout, over all ranks. Raises TooManyErrors."""
        for name, steps in self._steps.items():
            rewards = [by_term[name] for by_term in rollouts if name in by_term]
            failures = [reward for reward in rewards if reward.failure is not None]
            steps.append((len(rewards), len(failures)))
            self.failed[name] += len(failures)
            total, failed = (sum(numbers) for numbers in zip(*steps, strict=True))
            if failures and total >= LEAST_ROLLOUTS and failed > self._ceilings[name] * total:
                msg = (
                    f"rl: the reward {name} failed on {failed} of {total} rollouts of the last {len(steps)} steps, more than its "
                    f"max_failure_rate of {self._ceilings[name]:g}; the last: {failures[-1].failure}: {failures[-1].detail}; "
                    "correct it and run the same command, which goes on from the last checkpoint"
                )
                raise TooManyErrors(msg)
