"""Which questions a step asks where that depends on what came before: dynamic and active sampling.

Both choosers are deterministic in the config and the outcomes, the same on all ranks, and resume from a checkpoint.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from stillhouse.training.rl import curriculum
from stillhouse.training.rl.config import ActiveSampling
from stillhouse.vocabulary.categories import Category

Outcomes = Mapping[str, Sequence[int]]
"""Question id -> number of verified rollouts so far, and number of those that passed."""


class QuestionChooser(Protocol):
    """Chooses questions."""

    times_asked: Counter[str]
    """How often it chose each question."""

    def take(self, n: int, outcomes: Outcomes, avoid: Collection[str] = ()) -> list[str]:
        """The ids of the next ``n`` questions; ``avoid``: those that this step has asked."""

    def remember(self) -> dict[str, Any]:
        """What a checkpoint keeps."""

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Continue from an earlier try."""


class InOrder:
    """Takes questions in the curriculum's order."""

    def __init__(self, endless: Callable[[], Iterator[str]]) -> None:
        """``endless``: the order from its beginning."""
        self._endless, self._order = endless, endless()
        self.times_asked: Counter[str] = Counter()

    def take(self, n: int, outcomes: Outcomes, avoid: Collection[str] = ()) -> list[str]:
        """See QuestionChooser. The order itself asks no question again before the others."""
        question_ids = list(islice(self._order, n))
        self.times_asked.update(question_ids)
        return question_ids

    def remember(self) -> dict[str, Any]:
        """See QuestionChooser."""
        return {"asked": dict(self.times_asked)}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """See QuestionChooser."""
        self.times_asked = Counter(remembered["asked"])
        self._order = islice(self._endless(), self.times_asked.total(), None)


class ByPassRate:
    """Draws questions by the chance that their rollouts differ in reward."""

    def __init__(
        self,
        by_category: Mapping[str, Sequence[str]],
        weights: Mapping[Category, float] | None,
        settings: ActiveSampling,
        group_size: int,
        seed: int,
        rates: Mapping[str, float],
    ) -> None:
        """``weights``: the config's mix. ``rates``: pass rates before this stage, of questions that have one."""
        self._settings, self._group_size, self._seed, self._rates = settings, group_size, seed, rates
        self._pools: dict[str, list[str]] = {"all": [question_id for ids in by_category.values() for question_id in ids]}
        self._shares: Mapping[str, float] = {"all": 1.0}
        if weights is not None:
            self._shares = curriculum.present_weights(by_category, weights)
            self._pools = {category: list(by_category[category]) for category in self._shares}
        self.times_asked: Counter[str] = Counter()
        self._n_takes, self._turns = 0, curriculum.in_proportion(self._shares)
        self._counted: dict[str, list[int]] = {}
        """The outcomes that ``_recent`` has in it."""
        self._recent: dict[str, list[float]] = {}
        """Question id -> number of verified rollouts, and of those that passed, the earlier ones weighing less."""

    def take(self, n: int, outcomes: Outcomes, avoid: Collection[str] = ()) -> list[str]:
        """See QuestionChooser. A question comes twice only if there are not enough others."""
        self._count(outcomes)
        wanted = Counter(islice(self._turns, n))
        question_ids = [question_id for pool, k in wanted.items() for question_id in self._drawn(pool, k, avoid)]
        self._n_takes += 1
        self.times_asked.update(question_ids)
        return question_ids

    def chance(self, question_id: str) -> float:
        """The chance that the question's rollouts differ, from its pass rate p: 1 - p^group_size - (1 - p)^group_size."""
        n, n_passed = self._recent.get(question_id, (0.0, 0.0))
        prior = self._settings.prior_rollouts
        rate = (n_passed + prior * self._rates.get(question_id, 0.5)) / (n + prior)
        return 1 - rate**self._group_size - (1 - rate) ** self._group_size

    def remember(self) -> dict[str, Any]:
        """See QuestionChooser."""
        own = {"counted": self._counted, "recent": self._recent}
        return {"asked": dict(self.times_asked), "takes": self._n_takes} | own

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """See QuestionChooser."""
        self.times_asked, self._n_takes = Counter(remembered["asked"]), remembered["takes"]
        self._turns = islice(curriculum.in_proportion(self._shares), self.times_asked.total(), None)
        self._counted, self._recent = dict(remembered["counted"]), dict(remembered["recent"])

    def _count(self, outcomes: Outcomes) -> None:
        """Add what was learnt of the questions since the last call."""
        memory = self._settings.memory
        for question_id, (n, n_passed) in outcomes.items():
            before, passed_before = self._counted.get(question_id, (0, 0))
            if n > before:
                old_n, old_passed = self._recent.get(question_id, (0.0, 0.0))
                self._recent[question_id] = [memory * old_n + n - before, memory * old_passed + n_passed - passed_before]
                self._counted[question_id] = [n, n_passed]

    def _drawn(self, pool: str, k: int, avoid: Collection[str]) -> list[str]:
        """``k`` ids of the pool, drawn by weight without replacement (Efraimidis and Spirakis, 2006): the earliest arrivals."""
        rng, floor = random.Random(f"{self._seed}/{pool}/{self._n_takes}"), self._settings.exploration
        arrivals = []
        for question_id in self._pools[pool]:
            weight, wait = floor + (1 - floor) * self.chance(question_id), rng.expovariate(1.0)
            arrivals.append((question_id in avoid, wait / weight if weight > 0 else math.inf, question_id))
        ordered = [question_id for _, _, question_id in sorted(arrivals)]
        return [ordered[index % len(ordered)] for index in range(k)]
