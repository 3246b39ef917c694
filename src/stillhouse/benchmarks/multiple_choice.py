r"""Verdicts on multiple choice (GPQA-Diamond, MMLU): the letter that an answer names, compared with the reference."""

import re
from collections.abc import Mapping, Sequence

from stillhouse.benchmarks.adapters import LETTERS
from stillhouse.verification.scoring import request_of
from stillhouse.verification.verdict import Verdict, VerificationRequest, unanswered
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.categories import FACTS
from stillhouse.vocabulary.rows import Question, Response, Verified
from stillhouse.vocabulary.text import shortened

VERSION = "choices 1"
"""Part of the protocol: raise it when a change could read an answer differently."""

_LETTER = rf"(?:\\(?:text|textbf|mathrm|mathbf)\{{)?[\s$*(]*([{LETTERS}])\b"
_BOXED = re.compile(rf"\\boxed\{{{_LETTER}")
_STATED = re.compile(rf"(?i:\b(?:answer|choice|option)\b(?:\s+is)?\s*:?)\s*{_LETTER}")
_AT_START = re.compile(rf"\s*{_LETTER}(?:\s*$|[.:)}}$*])")


def letter(answer: str) -> str | None:
    r"""The letter an answer names: in its last ``\boxed{}``, else after its last "the answer is", else at its beginning."""
    for pattern in (_BOXED, _STATED):
        if letters := pattern.findall(answer):
            return str(letters[-1])
    at_start = _AT_START.match(answer)
    return at_start[1] if at_start else None


def verdicts(questions: Mapping[str, Question], responses: Sequence[Response]) -> list[Verified]:
    """The verdict on each response, in order. Raises BadRows for a response to an unknown question."""
    verified = []
    for response in responses:
        request = request_of(questions, response)
        verdict, threshold = _verdict(request), FACTS[request.category].pass_threshold
        passed = None if verdict.verify_score is None else verdict.verify_score > threshold
        verified.append(
            Verified(
                *rows.response_key(response), verdict.kind, verdict.verify_score, passed, verdict.method, verdict.detail, 0.0,
                threshold=threshold,
            )
        )  # fmt: skip
    return verified


def _verdict(request: VerificationRequest) -> Verdict:
    if no_answer := unanswered(request, VERSION):
        return no_answer
    answer = str(request.answer).strip()
    named = letter(answer)
    if named is None:
        return Verdict("malformed", 0.0, VERSION, f"no choice is named in {shortened(answer, 100)!r}")
    if named != request.reference:
        return Verdict("wrong", 0.0, VERSION, f"got {named}, reference {request.reference}")
    return Verdict("correct", FACTS[request.category].scale, VERSION)
