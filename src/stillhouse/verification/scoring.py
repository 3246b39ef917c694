"""A response -> the request its verifier gets; the verdict -> the row."""

from collections.abc import Mapping

from stillhouse import identity, rows
from stillhouse.errors import BadRows
from stillhouse.grading import PassThresholds
from stillhouse.rows import Question, Response, Verified
from stillhouse.verification.verdict import Request, Verdict


def request_of(questions: Mapping[str, Question], response: Response) -> Request:
    """What to verify: the answer part; the whole text where a response that ended by itself has no tags at all.

    Raises BadRows for a response to an unknown question.
    """
    question = questions.get(response.question_id)
    if question is None:
        msg = f"a response of {response.model} answers question {response.question_id}, which the questions input has not"
        raise BadRows(msg)
    answer = response.answer
    untagged = answer is None and response.think is None and "<think>" not in response.text and "<answer>" not in response.text
    if untagged and response.finish_reason == "stop":
        answer = response.text
    return Request(
        question.category, answer, question.reference_answer, response.finish_reason, question.test_cases, question.constraints,
        identity.prompt_text(question.messages),
    )  # fmt: skip


def verified_row(request: Request, response: Response, verdict: Verdict, thresholds: PassThresholds) -> Verified:
    """The row of one verdict. ``passed`` is None where the verifier failed: that says nothing about the response."""
    score = verdict.verify_score
    passed = None if score is None else score > getattr(thresholds, request.category)
    return Verified(*rows.response_key(response), verdict.kind, score, passed, verdict.method, verdict.detail, verdict.seconds)
