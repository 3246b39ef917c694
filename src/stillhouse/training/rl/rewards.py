"""Verdicts of rollouts -> GRPO's rewards, counts and metrics over all ranks, and sample rollouts."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stillhouse.execution import processes
from stillhouse.training.rl.rollout_scorers import RolloutScorer
from stillhouse.verification.verdict import Verdict
from stillhouse.vocabulary.categories import PASS_THRESHOLDS, SCALES
from stillhouse.vocabulary.rows import Question

KEPT_ROLLOUTS = 200
"""Most sample rollouts; once there are so many, every other one is dropped, so that the samples cover the whole run."""


class Rewards:
    """A reward function for GRPO: the score over its category's scale.

    A rollout whose verification itself failed (timeout, error) gets None: GRPO leaves it out of its group's mean and deviation, and
    ``on_policy`` out of the loss, so that it gives no gradient.
    """

    __name__ = "verify_score"
    """TRL names the reward's metrics after the function."""

    def __init__(
        self, questions: Mapping[str, Question], scorer: RolloutScorer, read: Callable[[Sequence[int]], str],
        levels: Mapping[str, int] | None = None, thresholds: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        """``read``: the text of a rollout's tokens. Mappings are by question id; ``levels``: the difficulty of those that have one.

        ``thresholds``: the pass thresholds of the verdicts; the category's own holds for a question without one.
        """
        self._questions, self._scorer, self._levels, self._thresholds = questions, scorer, levels or {}, thresholds or {}
        self._read = read
        self._every, self._calls = 1, 0
        self.kinds: Counter[str] = Counter()
        self.outcomes: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        """Question id -> number of verified rollouts, and number of those that passed."""
        self.rollouts: list[dict[str, Any]] = []
        """Sample rollouts, with question, reward and verdict."""

    def __call__(
        self,
        completion_ids: Sequence[Sequence[int]],
        question_id: Sequence[str],
        log_metric: Callable[[str, float], None] | None = None,
        **_: object,
    ) -> list[float | None]:
        """One reward per rollout of this rank, from its tokens. Counts and means are over the rollouts of all ranks."""
        texts = [self._read(ids) for ids in completion_ids]
        questions = [self._questions[key] for key in question_id]
        verdicts = self._scorer.score(questions, texts)
        by_rank = processes.gathered((list(question_id), verdicts, texts[0]))
        all_questions = [self._questions[key] for keys, _, _ in by_rank for key in keys]
        all_verdicts = [verdict for _, rank_verdicts, _ in by_rank for verdict in rank_verdicts]
        all_rewards = [_scaled(*pair) for pair in zip(all_verdicts, all_questions, strict=True)]
        self._count(all_questions, all_verdicts)
        self._keep(by_rank[0][2], all_questions[0], all_verdicts[0], all_rewards[0])
        if log_metric:  # the same numbers on every rank: TRL averages over ranks, however many rewards each has
            for name, mean in self._means(all_questions, all_rewards).items():
                log_metric(f"reward/{name}", mean)
            log_metric("verifier_failures", all_rewards.count(None) / len(all_rewards))
        return [_scaled(*pair) for pair in zip(verdicts, questions, strict=True)]

    def remember(self) -> dict[str, Any]:
        """The counts, for a checkpoint."""
        counts = {"kinds": dict(self.kinds), "outcomes": dict(self.outcomes)}
        return counts | {"rollouts": self.rollouts, "calls": self._calls, "every": self._every}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Continue from the counts of an earlier try."""
        self.kinds.update(remembered["kinds"])
        self.outcomes.update(remembered["outcomes"])
        self.rollouts, self._calls, self._every = remembered["rollouts"], remembered["calls"], remembered["every"]

    def _means(self, questions: Sequence[Question], rewards: Sequence[float | None]) -> dict[str, float]:
        """The mean reward of each category, and of each of its levels."""
        by_name: dict[str, list[float]] = defaultdict(list)
        for question, reward in zip(questions, rewards, strict=True):
            if reward is not None:
                by_name[question.category].append(reward)
                if (level := self._levels.get(question.question_id)) is not None:
                    by_name[f"{question.category}/level_{level}"].append(reward)
        return {name: sum(values) / len(values) for name, values in by_name.items()}

    def _count(self, questions: Sequence[Question], verdicts: Sequence[Verdict]) -> None:
        for question, verdict in zip(questions, verdicts, strict=True):
            self.kinds[verdict.kind] += 1
            if verdict.verify_score is not None:
                counts = self.outcomes[question.question_id]
                counts[0] += 1
                counts[1] += verdict.verify_score > self._threshold(question)

    def _threshold(self, question: Question) -> float:
        return self._thresholds.get(question.question_id, PASS_THRESHOLDS[question.category])

    def _keep(self, text: str, question: Question, verdict: Verdict, reward: float | None) -> None:
        """Keep the first rollout of a call: of every call at first, of fewer and fewer calls as the run goes on."""
        self._calls += 1
        if self._calls % self._every:
            return
        head = {"call": self._calls, "question_id": question.question_id, "question": question.messages[-1]["content"]}
        self.rollouts.append(head | {"text": text, "reward": reward, "kind": verdict.kind, "detail": verdict.detail})
        if len(self.rollouts) == KEPT_ROLLOUTS:
            self.rollouts, self._every = self.rollouts[1::2], self._every * 2


def _scaled(verdict: Verdict, question: Question) -> float | None:
    return None if verdict.verify_score is None else verdict.verify_score / SCALES[question.category]
