"""A verifier's request and its verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

from stillhouse.vocabulary import ids
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import FinishReason, Message, Question, VerdictKind
from stillhouse.vocabulary.text import shortened

DETAIL_CHARS = 300
NO_RULE = "no rule"
"""The method of a verdict of kind ``error`` on a reference that no rule reads: a judge is asked where there is one."""


@dataclass(frozen=True, slots=True)
class VerificationRequest:
    """One answer to verify. ``answer`` is None if the response has no answer; ``finish_reason`` is the engine's.

    ``test_cases``, ``constraints`` and ``messages`` are the question's columns of these names, ``prompt`` is the messages as text.
    """

    category: Category
    answer: str | None
    reference: str | None
    finish_reason: FinishReason = "stop"
    test_cases: str | None = None
    constraints: str | None = None
    prompt: str | None = None
    messages: Sequence[Message] = ()


def make_request(question: Question, answer: str | None, finish_reason: FinishReason = "stop") -> VerificationRequest:
    """The request to verify an answer to a question."""
    return VerificationRequest(
        question.category, answer, question.reference_answer, finish_reason, question.test_cases, question.constraints,
        ids.prompt_text(question.messages), question.messages,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """``verify_score`` is on the category's own scale, None if ``kind`` is a FailedKind. ``seconds`` is the time it took.

    A detail longer than DETAIL_CHARS is shortened.
    """

    kind: VerdictKind
    verify_score: float | None
    method: str
    detail: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", shortened(self.detail, DETAIL_CHARS))


def unanswered(request: VerificationRequest, method: str) -> Verdict | None:
    """The verdict on a response without an answer, the same for every category; None if there is an answer to judge."""
    if request.finish_reason == "error":
        return Verdict("error", None, method, "the engine failed on this response")
    if not request.answer or request.answer.isspace():
        return Verdict("truncated" if request.finish_reason == "length" else "no_answer", 0.0, method)
    return None
