"""Rollouts -> rewards, by the same verifiers that made the training data."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from stillhouse.execution import processes
from stillhouse.verification.pool import Request, VerifierPool
from stillhouse.verification.verdict import Verdict, held_against
from stillhouse.vocabulary.categories import PASS_THRESHOLDS, SCALES
from stillhouse.vocabulary.rows import Question
from stillhouse.vocabulary.transcript import END_ANSWER, parse

KEPT_ROLLOUTS = 200
"""Rollouts kept for a look; later ones replace every other one of them, so that the whole run stays covered."""


class Rewards:
    """A reward function for GRPO: the verify score over its scale, for an answer in the think/answer format, else 0 (Staged RL §3).

    A rollout whose verification itself failed (timeout, error) gets None: it is no part of its group's mean and deviation, and
    ``rollouts.proven`` leaves it out of the loss, so that it gives no gradient.
    """

    __name__ = "verify_score"
    """TRL names the reward's metrics after the function."""

    def __init__(
        self, questions: Mapping[str, Question], timeout_s: float, levels: Mapping[str, int] | None = None,
        thresholds: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        """All by question id. ``thresholds``: the pass thresholds of the verdicts; for others the category's own holds."""
        self._questions, self._levels, self._thresholds = questions, levels or {}, thresholds or {}
        self._pool = VerifierPool(timeout_s, processes.share_of_cores())
        self._every, self._calls = 1, 0
        self.kinds: Counter[str] = Counter()
        self.outcomes: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        """Question id -> verified rollouts, and those that passed."""
        self.rollouts: list[dict[str, Any]] = []
        """Some of the rollouts, with question, reward and verdict."""

    def __enter__(self) -> "Rewards":
        self._pool.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._pool.__exit__(kind, error, traceback)

    def __call__(
        self,
        completions: Sequence[Sequence[Mapping[str, str]]],
        question_id: Sequence[str],
        log_metric: Callable[[str, float], None] | None = None,
        **_: object,
    ) -> list[float | None]:
        """One reward for every completion. Counts and means are over those of all ranks."""
        texts = [completion[-1]["content"] for completion in completions]
        asked = [self._questions[each] for each in question_id]
        verdicts = list(self._pool.verify(_request(*each) for each in zip(texts, asked, strict=True)))
        told = processes.gathered((list(question_id), verdicts, texts[0]))
        of_all = [self._questions[each] for ids, _, _ in told for each in ids]
        found = [verdict for _, each, _ in told for verdict in each]
        rewards = [_scaled(*each) for each in zip(found, of_all, strict=True)]
        self._count(of_all, found)
        self._keep(told[0][2], of_all[0], found[0], rewards[0])
        if log_metric:  # the same on every rank: TRL takes the mean over ranks, however many rewards each has
            for name, value in self._means(of_all, rewards).items():
                log_metric(f"reward/{name}", value)
            log_metric("verifier_failures", rewards.count(None) / len(rewards))
        return [_scaled(*each) for each in zip(verdicts, asked, strict=True)]

    def remember(self) -> dict[str, Any]:
        """What a checkpoint keeps of the counts."""
        counts = {"kinds": dict(self.kinds), "outcomes": dict(self.outcomes)}
        return counts | {"rollouts": self.rollouts, "calls": self._calls, "every": self._every}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Go on from the counts of an earlier try."""
        self.kinds.update(remembered["kinds"])
        self.outcomes.update(remembered["outcomes"])
        self.rollouts, self._calls, self._every = remembered["rollouts"], remembered["calls"], remembered["every"]

    def _means(self, asked: Sequence[Question], rewards: Sequence[float | None]) -> dict[str, float]:
        """The mean reward of each category, and of each of its levels."""
        found: dict[str, list[float]] = defaultdict(list)
        for question, reward in zip(asked, rewards, strict=True):
            if reward is not None:
                found[question.category].append(reward)
                if (level := self._levels.get(question.question_id)) is not None:
                    found[f"{question.category}/level_{level}"].append(reward)
        return {name: sum(each) / len(each) for name, each in found.items()}

    def _count(self, asked: Sequence[Question], verdicts: Sequence[Verdict]) -> None:
        for question, verdict in zip(asked, verdicts, strict=True):
            self.kinds[verdict.kind] += 1
            if verdict.verify_score is not None:
                counts = self.outcomes[question.question_id]
                counts[0] += 1
                counts[1] += verdict.verify_score > self._threshold(question)

    def _threshold(self, question: Question) -> float:
        return self._thresholds.get(question.question_id, PASS_THRESHOLDS[question.category])

    def _keep(self, text: str, question: Question, verdict: Verdict, reward: float | None) -> None:
        """Keep the first rollout of a call, of every call at first and of ever fewer as the run goes on."""
        self._calls += 1
        if self._calls % self._every:
            return
        said = {"call": self._calls, "question_id": question.question_id, "question": question.messages[-1]["content"]}
        self.rollouts.append(said | {"text": text, "reward": reward, "kind": verdict.kind, "detail": verdict.detail})
        if len(self.rollouts) == KEPT_ROLLOUTS:
            self.rollouts, self._every = self.rollouts[1::2], self._every * 2


def _request(text: str, question: Question) -> Request:
    parsed = parse(text)
    # An answer outside its tags is an answer to a reader, but the wrong format to the paper: score 0.
    formatted = parsed.answer if parsed.think is not None and END_ANSWER in text else None
    return held_against(question, formatted)


def _scaled(verdict: Verdict, question: Question) -> float | None:
    return None if verdict.verify_score is None else verdict.verify_score / SCALES[question.category]
