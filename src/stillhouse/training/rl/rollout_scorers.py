"""Rollouts -> verdicts, by the verifiers that made the training data."""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Protocol

from stillhouse.execution import processes
from stillhouse.models.chat_formats import ResponseFormat
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.scoring import tried_twice
from stillhouse.verification.verdict import Verdict, VerificationRequest, make_request
from stillhouse.verification.verifier import LoadedVerifiers, with_libraries
from stillhouse.vocabulary.categories import FACTS
from stillhouse.vocabulary.packages import Libraries
from stillhouse.vocabulary.rows import Question
from stillhouse.vocabulary.transcript import END_ANSWER, parse


class RolloutScorer(Protocol):
    """Scores rollouts; a context manager, since it may hold processes."""

    def __enter__(self) -> "RolloutScorer":
        """Start."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Release what it holds."""

    def warm(self, questions: Iterable[Question]) -> None:
        """Get ready to score answers to these questions, in the background: the first step need not wait for it."""

    def score(self, questions: Sequence[Question], responses: Sequence[str]) -> list[Verdict | None]:
        """One verdict per response, on its category's scale; None where no rule scores the question."""


class VerifierScorer:
    """Scores by the verifiers. A response that is not in the format scores 0 (Staged RL §3)."""

    def __init__(
        self, timeout_s: float, libraries: Libraries = "standard", response_format: ResponseFormat = "think_answer"
    ) -> None:
        """``timeout_s``: seconds one verification may take; ``libraries``: what programs may import.

        ``response_format``: think_answer needs the answer in its tags.
        """
        self._pool = VerifierPool(timeout_s, processes.share_of_cores(), with_libraries({}, libraries))
        self._format = response_format

    def __enter__(self) -> "VerifierScorer":
        self._pool.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._pool.__exit__(kind, error, traceback)

    def warm(self, questions: Iterable[Question]) -> None:
        """See RolloutScorer: the worker processes load the verifiers of the questions' categories."""
        self._pool.begin_warming(question.category for question in questions if has_rule(question))

    def score(self, questions: Sequence[Question], responses: Sequence[str]) -> list[Verdict | None]:
        """See RolloutScorer."""
        ruled = [index for index, question in enumerate(questions) if has_rule(question)]
        requests = [request_of_rollout(questions[index], responses[index], self._format) for index in ruled]
        verdicts = dict(zip(ruled, tried_twice(self._pool, requests), strict=True))
        return [verdicts.get(index) for index in range(len(questions))]


def has_rule(question: Question) -> bool:
    """Whether a rule scores answers to the question: its category has one, and the question has what the rule needs."""
    needs = FACTS[question.category].needs
    return question.category in LoadedVerifiers({}) and (needs is None or bool(getattr(question, needs)))


def request_of_rollout(question: Question, text: str, response_format: ResponseFormat) -> VerificationRequest:
    """The request to score a response, without an answer if its format is wrong.

    A reader would accept an answer outside its tags; to the paper the format is wrong: score 0.
    """
    parsed = parse(text)
    is_formatted = parsed.think is not None and (END_ANSWER in text or response_format != "think_answer")
    return make_request(question, parsed.answer if is_formatted else None)
