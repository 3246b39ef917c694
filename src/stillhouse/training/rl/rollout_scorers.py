"""Rollouts -> verdicts: by the verifiers that made the training data, or by a reward of the user's own.

To add a reward, write a function like ``Reward`` and name it in a recipe, as ``reward: module:attribute`` or by an entry point of
the group ``stillhouse.rewards``.
"""

import math
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Protocol, cast

from stillhouse.execution import extensions, processes
from stillhouse.models.chat_formats import ResponseFormat
from stillhouse.training.rl.config import REWARDS
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.scoring import tried_twice
from stillhouse.verification.verdict import Verdict, VerificationRequest, make_request
from stillhouse.verification.verifier import with_libraries
from stillhouse.vocabulary.categories import SCALES
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.packages import Libraries
from stillhouse.vocabulary.rows import Question, VerdictKind
from stillhouse.vocabulary.transcript import END_ANSWER, parse


class Reward(Protocol):
    """A reward of the user's own: what one response, thinking included, is worth as an answer to a question.

    1 stands for a correct response and 0 for a wrong one; any finite number is allowed. An exception, or a number that is not
    finite, fails this rollout alone: it gets no gradient and is counted as ``error``.
    """

    def __call__(self, question: Question, response: str) -> float:
        """The reward."""


class RolloutScorer(Protocol):
    """Scores rollouts; a context manager, since it may hold processes."""

    def __enter__(self) -> "RolloutScorer":
        """Start."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Release what it holds."""

    def warm(self, questions: Iterable[Question]) -> None:
        """Get ready to score answers to these questions, in the background: the first step need not wait for it."""

    def score(self, questions: Sequence[Question], responses: Sequence[str]) -> list[Verdict]:
        """One verdict per response, on its category's scale."""


class VerifierScorer:
    """Scores by the verifiers. A response that is not in the format scores 0 (Staged RL §3)."""

    def __init__(
        self, timeout_s: float, libraries: Libraries = "standard", response_format: ResponseFormat = "think_answer"
    ) -> None:
        """``timeout_s``: seconds one verification may take; ``libraries``: what programs may import.

        ``response_format``: think_answer needs the answer in its tags.
        """
        self._pool = VerifierPool(timeout_s, processes.share_of_cores(), with_libraries({}, libraries))
        self._is_tagged = response_format == "think_answer"

    def __enter__(self) -> "VerifierScorer":
        self._pool.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._pool.__exit__(kind, error, traceback)

    def warm(self, questions: Iterable[Question]) -> None:
        """See RolloutScorer: the worker processes load the verifiers of the questions' categories."""
        self._pool.begin_warming(question.category for question in questions)

    def score(self, questions: Sequence[Question], responses: Sequence[str]) -> list[Verdict]:
        """See RolloutScorer."""
        pairs = zip(responses, questions, strict=True)
        return tried_twice(self._pool, [_request(*pair, is_tagged=self._is_tagged) for pair in pairs])


class FunctionScorer:
    """Scores by a reward of the user's own, one response after the other."""

    def __init__(self, reward: Reward) -> None:
        """``reward``: called once per response."""
        self._reward = reward

    def __enter__(self) -> "FunctionScorer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        pass

    def warm(self, questions: Iterable[Question]) -> None:
        """See RolloutScorer: the function is loaded."""

    def score(self, questions: Sequence[Question], responses: Sequence[str]) -> list[Verdict]:
        """See RolloutScorer."""
        return [self._verdict(*pair) for pair in zip(questions, responses, strict=True)]

    def _verdict(self, question: Question, response: str) -> Verdict:
        try:
            reward = float(self._reward(question, response))
        except Exception as error:  # noqa: BLE001 # the user's code may raise anything; a failure is counted, it does not end the run
            return Verdict("error", None, "reward", f"{type(error).__name__}: {one_line(error)}")
        if not math.isfinite(reward):
            return Verdict("error", None, "reward", f"the reward is {reward}, not a finite number")
        kind: VerdictKind = "correct" if reward >= 1 else "partial" if reward > 0 else "wrong"
        return Verdict(kind, reward * SCALES[question.category], "reward")


def make_scorer(
    reward: str, timeout_s: float, libraries: Libraries = "standard", response_format: ResponseFormat = "think_answer"
) -> RolloutScorer:
    """The scorer for the config's ``reward``. Raises BadConfig if an extension cannot be loaded."""
    loaded = extensions.load("rewards", reward, REWARDS)
    if reward in REWARDS:
        return cast("type[VerifierScorer]", loaded)(timeout_s, libraries, response_format)
    return FunctionScorer(cast("Reward", loaded))


def _request(text: str, question: Question, *, is_tagged: bool) -> VerificationRequest:
    parsed = parse(text)
    # A reader would accept an answer outside its tags; to the paper the format is wrong: score 0.
    formatted = parsed.answer if parsed.think is not None and (END_ANSWER in text or not is_tagged) else None
    return make_request(question, formatted)
