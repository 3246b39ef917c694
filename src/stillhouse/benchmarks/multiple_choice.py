"""Verdicts on multiple choice (GPQA-Diamond, MMLU): the letter that an answer names, as ``verified`` reads it."""

from collections.abc import Mapping, Sequence

from stillhouse.verification import choices
from stillhouse.verification.scoring import request_of
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.categories import FACTS
from stillhouse.vocabulary.rows import Question, Response, Verified

VERSION = choices.VERSION
"""Part of the protocol."""


def verdicts(questions: Mapping[str, Question], responses: Sequence[Response]) -> list[Verified]:
    """The verdict on each response, in order. Raises BadRows for a response to an unknown question."""
    verified = []
    for response in responses:
        request = request_of(questions, response)
        verdict, threshold = choices.verdict(request), FACTS[request.category].pass_threshold
        passed = None if verdict.verify_score is None else verdict.verify_score > threshold
        verified.append(
            Verified(
                *rows.response_key(response), verdict.kind, verdict.verify_score, passed, verdict.method, verdict.detail, 0.0,
                threshold=threshold,
            )
        )  # fmt: skip
    return verified
