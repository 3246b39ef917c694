"""Rollouts -> rewards, by the same verifiers that made the training data."""

from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType

from stillhouse.rows import Question
from stillhouse.sampling.parsing import END_ANSWER, parse
from stillhouse.verification.pool import Request, VerifierPool
from stillhouse.verification.verdict import held_against


class Rewards:
    """A reward function for GRPO: 1 for a correct answer in the think/answer format, else 0 (Staged RL §3).

    A rollout whose verification itself failed (timeout, error) gets the mean of its group: no advantage, so no gradient.
    """

    __name__ = "verify_score"
    """TRL names the reward's metrics after the function."""

    def __init__(self, questions: Mapping[str, Question], group_size: int, timeout_s: float) -> None:
        self._questions, self._group_size = questions, group_size
        self._pool = VerifierPool(timeout_s)
        self.kinds: Counter[str] = Counter()

    def __enter__(self) -> "Rewards":
        self._pool.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._pool.__exit__(kind, error, traceback)

    def __call__(self, completions: Sequence[Sequence[Mapping[str, str]]], question_id: Sequence[str], **_: object) -> list[float]:
        """One reward for every completion; those of one question stand together, ``group_size`` at a time."""
        texts = [completion[-1]["content"] for completion in completions]
        verdicts = list(self._pool.verify(self._request(text, each) for text, each in zip(texts, question_id, strict=True)))
        self.kinds.update(verdict.kind for verdict in verdicts)
        scores = [verdict.verify_score for verdict in verdicts]
        groups = (scores[start : start + self._group_size] for start in range(0, len(scores), self._group_size))
        return [reward for group in groups for reward in filled(group)]

    def _request(self, text: str, question_id: str) -> Request:
        question, parsed = self._questions[question_id], parse(text)
        # An answer outside its tags is an answer to a reader, but the wrong format to the paper: score 0.
        formatted = parsed.answer if parsed.think is not None and END_ANSWER in text else None
        return held_against(question, formatted)


def filled(scores: Sequence[float | None]) -> list[float]:
    """Scores of one group, with the mean of the known ones in place of the unknown (0 where none is known)."""
    known = [score for score in scores if score is not None]
    mean = sum(known) / len(known) if known else 0.0
    return [mean if score is None else score for score in scores]
