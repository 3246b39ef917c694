"""Rollouts -> GRPO's rewards, counts and metrics over all ranks, and sample rollouts: of the whole run, and of the last step."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from math import inf
from statistics import fmean
from typing import Any

from stillhouse.execution import processes
from stillhouse.training.rl.environments.episodes import Episode
from stillhouse.training.rl.reward_terms.config import TOTAL
from stillhouse.training.rl.reward_terms.failure_ceilings import FailureCeilings
from stillhouse.training.rl.reward_terms.rollout import Rollout, TermReward
from stillhouse.training.rl.reward_terms.weighted_sum import ScoredRollout, WeightedTerms
from stillhouse.vocabulary.categories import PASS_THRESHOLDS
from stillhouse.vocabulary.rows import Question

KEPT_ROLLOUTS = 200
"""Most sample rollouts; once there are so many, every other one is dropped, so that the samples cover the whole run."""
LAST_QUESTIONS = 4
"""Questions of the last step of which the best and the worst rollout are kept."""


class Rewards:
    """A reward function for GRPO: the weighted sum of the recipe's terms.

    A rollout without a reward, because a term failed or has nothing to say of it, gets None: GRPO leaves it out of its group's mean
    and deviation, and ``on_policy`` out of the loss, so that it gives no gradient.
    """

    __name__ = TOTAL
    """TRL names the reward's metrics after the function."""

    def __init__(
        self, questions: Mapping[str, Question], terms: WeightedTerms, read: Callable[[Sequence[int]], str],
        levels: Mapping[str, int] | None = None, thresholds: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        """``read``: the text of a rollout's tokens. Mappings are by question id; ``levels``: the difficulty of those that have one.

        ``thresholds``: the pass thresholds of the verdicts; the category's own holds for a question without one.
        """
        self._questions, self._terms, self._levels, self._thresholds = questions, terms, levels or {}, thresholds or {}
        self._read = read
        self._every, self._calls = 1, 0
        self._ceilings = FailureCeilings(terms.configs)
        self.kinds: Counter[str] = Counter()
        self.outcomes: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        """Question id -> number of verified rollouts, and number of those that passed."""
        self.rollouts: list[dict[str, Any]] = []
        """Sample rollouts, with question, reward and verdict."""
        self.last_step: list[dict[str, Any]] = []
        """The same of the last step: the best and the worst rollout of its first questions on this rank."""

    @property
    def failed(self) -> Counter[str]:
        """How many rollouts each term failed on."""
        return self._ceilings.failed

    def __call__(
        self,
        completion_ids: Sequence[Sequence[int]],
        question_id: Sequence[str],
        log_metric: Callable[[str, float], None] | None = None,
        episode: Sequence[Episode] | None = None,
        **_: object,
    ) -> list[float | None]:
        """One reward per rollout of this rank, from its tokens. Counts and means are over the rollouts of all ranks.

        Raises TooManyErrors if a term fails too often.
        """
        rollouts = self._rollouts(question_id, completion_ids, episode)
        scored = self._terms.score(rollouts)
        by_rank = processes.gathered((list(question_id), scored, rollouts[0].transcript))
        questions = [self._questions[key] for keys, _, _ in by_rank for key in keys]
        everywhere = [rollout for _, of_rank, _ in by_rank for rollout in of_rank]
        self._count(questions, everywhere)
        self._keep(by_rank[0][2], questions[0], everywhere[0])
        self.last_step = [
            self._row(rollouts[place].transcript, rollouts[place].question, scored[place])
            for place in _extremes(question_id, scored)
        ]  # fmt: skip
        if log_metric:  # the same numbers on every rank: TRL averages over ranks, however many rewards each has
            for name, mean in (self._means(questions, everywhere) | _by_term(everywhere)).items():
                log_metric(name, mean)
        return [rollout.reward for rollout in scored]

    def _rollouts(
        self, question_id: Sequence[str], completion_ids: Sequence[Sequence[int]], episodes: Sequence[Episode] | None
    ) -> list[Rollout]:
        questions = [self._questions[key] for key in question_id]
        if episodes is None:
            return [Rollout(question, self._read(ids), ids) for question, ids in zip(questions, completion_ids, strict=True)]
        return [
            Rollout(question, episode.turns[-1].text, episode.own_ids, turns=episode.turns, environment=episode.environment)
            for question, episode in zip(questions, episodes, strict=True)
        ]

    def remember(self) -> dict[str, Any]:
        """The counts, for a checkpoint."""
        counts = {"kinds": dict(self.kinds), "outcomes": dict(self.outcomes), "failed": dict(self.failed)}
        return counts | {
            "rollouts": self.rollouts, "last_step": self.last_step, "calls": self._calls, "every": self._every,
        }  # fmt: skip

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Continue from the counts of an earlier try."""
        self.kinds.update(remembered["kinds"])
        self.outcomes.update(remembered["outcomes"])
        self.failed.update(remembered["failed"])
        self.rollouts, self._calls, self._every = remembered["rollouts"], remembered["calls"], remembered["every"]
        self.last_step = remembered.get("last_step", [])  # a checkpoint of an earlier version has none

    def _means(self, questions: Sequence[Question], rollouts: Sequence[ScoredRollout]) -> dict[str, float]:
        """The mean reward of each category, and of each of its levels."""
        by_name: dict[str, list[float]] = defaultdict(list)
        for question, rollout in zip(questions, rollouts, strict=True):
            if rollout.reward is not None:
                by_name[f"reward/{question.category}"].append(rollout.reward)
                if (level := self._levels.get(question.question_id)) is not None:
                    by_name[f"reward/{question.category}/level_{level}"].append(rollout.reward)
        return {name: fmean(values) for name, values in by_name.items()}

    def _count(self, questions: Sequence[Question], rollouts: Sequence[ScoredRollout]) -> None:
        for question, rollout in zip(questions, rollouts, strict=True):
            self.kinds[rollout.verdict.kind] += 1
            if rollout.verdict.verify_score is not None:
                counts = self.outcomes[question.question_id]
                counts[0] += 1
                counts[1] += rollout.verdict.verify_score > self._threshold(question)
        self._ceilings.count([rollout.by_term for rollout in rollouts])

    def _threshold(self, question: Question) -> float:
        return self._thresholds.get(question.question_id, PASS_THRESHOLDS[question.category])

    def _keep(self, text: str, question: Question, rollout: ScoredRollout) -> None:
        """Keep the first rollout of a call: of every call at first, of fewer and fewer calls as the run goes on."""
        self._calls += 1
        if self._calls % self._every:
            return
        self.rollouts.append(self._row(text, question, rollout))
        if len(self.rollouts) == KEPT_ROLLOUTS:
            self.rollouts, self._every = self.rollouts[1::2], self._every * 2

    def _row(self, text: str, question: Question, rollout: ScoredRollout) -> dict[str, Any]:
        """A sample rollout, as tables show it; ``text``: what was said after the question."""
        head = {"call": self._calls, "question_id": question.question_id, "question": question.messages[-1]["content"]}
        tail = {"text": text, "reward": rollout.reward, "kind": rollout.verdict.kind, "detail": rollout.verdict.detail}
        terms = {config.label: rollout.by_term.get(config.label) for config in self._terms.configs}
        columns = {f"rewards/{name}": reward and reward.value for name, reward in terms.items()}
        why = "; ".join(f"{name}: {reward.failure}: {reward.detail}" for name, reward in terms.items() if reward and reward.failure)
        return head | tail | columns | {"failures": why}


def _extremes(question_id: Sequence[str], scored: Sequence[ScoredRollout]) -> list[int]:
    """The places of the best and of the worst rollout of each of the first questions; one without a reward counts as the worst."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, key in enumerate(question_id):
        places[key].append(place)

    def reward(place: int) -> float:
        value = scored[place].reward
        return -inf if value is None else value

    pairs = [
        (max(of_question, key=reward), min(of_question, key=reward)) for of_question in islice(places.values(), LAST_QUESTIONS)
    ]
    return [place for best, worst in pairs for place in dict.fromkeys((best, worst))]


def _by_term(rollouts: Sequence[ScoredRollout]) -> dict[str, float]:
    """Of each term, the mean and the share of its rollouts on which it failed; and the share of rollouts without a reward."""
    rewards: dict[str, list[TermReward]] = defaultdict(list)
    for rollout in rollouts:
        for name, reward in rollout.by_term.items():
            rewards[name].append(reward)
    numbers = {"without_reward": fmean(rollout.reward is None for rollout in rollouts)}
    for name, of_term in rewards.items():
        numbers[f"rewards/{name}/failures"] = fmean(reward.failure is not None for reward in of_term)
        if values := [reward.value for reward in of_term if reward.value is not None]:
            numbers[f"rewards/{name}/mean"] = fmean(values)
    return numbers
