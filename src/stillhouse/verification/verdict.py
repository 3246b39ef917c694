"""What a verifier is asked and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass

from stillhouse.vocabulary import ids
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import FinishReason, Message, Question, VerdictKind

DETAIL_CHARS = 300


@dataclass(frozen=True, slots=True)
class Request:
    """One answer to verify. ``answer`` is None where the response has none; ``finish_reason`` is the engine's.

    ``test_cases``, ``constraints`` and ``messages`` are the question's columns of these names, ``prompt`` the messages as one text.
    """

    category: Category
    answer: str | None
    reference: str | None
    finish_reason: FinishReason = "stop"
    test_cases: str | None = None
    constraints: str | None = None
    prompt: str | None = None
    messages: Sequence[Message] = ()


def held_against(question: Question, answer: str | None, finish_reason: FinishReason = "stop") -> Request:
    """The request to verify an answer to a question."""
    return Request(
        question.category, answer, question.reference_answer, finish_reason, question.test_cases, question.constraints,
        ids.prompt_text(question.messages), question.messages,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """``verify_score`` is on the category's own scale, None if ``kind`` is a FailedKind. ``seconds`` is the time it took."""

    kind: VerdictKind
    verify_score: float | None
    method: str
    detail: str = ""
    seconds: float = 0.0


def unanswered(request: Request, method: str) -> Verdict | None:
    """The verdict on a response that gives nothing to judge, the same for every category; None where it gives an answer."""
    if request.finish_reason == "error":
        return Verdict("error", None, method, "the engine failed on this response")
    if not request.answer or request.answer.isspace():
        return Verdict("truncated" if request.finish_reason == "length" else "no_answer", 0.0, method)
    return None
