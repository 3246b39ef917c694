"""Responses -> verdicts -> rows: each by its category's verifier or judge; verdicts on equal content are reused."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from stillhouse.errors import BadRows
from stillhouse.verification import choices
from stillhouse.verification.config import AnswerRules
from stillhouse.verification.exact.answer_rules import as_constraints
from stillhouse.verification.instruction_modes import with_mode
from stillhouse.verification.judges import Judges
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.verdict import Verdict, VerificationRequest, make_request
from stillhouse.vocabulary import ids, rows
from stillhouse.vocabulary.categories import FACTS, PASS_THRESHOLDS, Category
from stillhouse.vocabulary.rows import FAILED, Question, Response, ResponseKey, Verified

VERSION = "3"
"""Part of a verdict's content id: raised when a verifier changes its judgement, so that older verdicts are not reused."""


def verdicts(
    pool: VerifierPool, questions: Mapping[str, Question], responses: Sequence[Response],
    thresholds: Mapping[Category, float] = PASS_THRESHOLDS, judges: Judges | None = None,
    previous: Mapping[ResponseKey, Verified] | None = None,
) -> list[Verified]:  # fmt: skip
    """The verdict on each response, in order. Raises BadRows for a response to an unknown question.

    A verdict in ``previous`` is reused if key and content are equal; failures of a verifier are tried once more.
    """
    judges = judges or Judges(None, None)
    keyed = [(rows.response_key(response), request_of(questions, response)) for response in responses]
    content_ids = [content_id(request, _settings(pool, judges, request.category)) for _, request in keyed]
    verified: dict[int, Verified] = {}
    for index, (key, request) in enumerate(keyed):
        if (earlier := reusable(previous or {}, key, content_ids[index])) is not None:
            threshold = thresholds[request.category]
            verified[index] = replace(earlier, passed=_passes(earlier.verify_score, threshold), threshold=threshold)
    new = [index for index in range(len(keyed)) if index not in verified]
    for index, verdict in zip(new, _judged(pool, judges, [keyed[index] for index in new]), strict=True):
        key, request = keyed[index]
        threshold = thresholds[request.category]
        verified[index] = Verified(
            *key, verdict.kind, verdict.verify_score, _passes(verdict.verify_score, threshold), verdict.method, verdict.detail,
            verdict.seconds, content_ids[index], threshold,
        )  # fmt: skip
    return [verified[index] for index in range(len(keyed))]


def passed(
    pool: VerifierPool, thresholds: Mapping[Category, float], questions: Mapping[str, Question], responses: Sequence[Response]
) -> list[bool | None]:
    """Whether each response passed, in order, by rule; None where the verifier failed."""
    return [row.passed for row in verdicts(pool, questions, responses, thresholds)]


def _settings(pool: VerifierPool, judges: Judges, category: Category) -> str:
    """Everything in the config that decides a verdict on the category, as text."""
    if category in pool.verifiers:
        return pool.extension(category) + judges.second_stage_settings(category)
    return judges.settings(category)


def _judged(
    pool: VerifierPool, judges: Judges, keyed: Sequence[tuple[ResponseKey, VerificationRequest]]
) -> list[Verdict]:  # fmt: skip
    """One verdict per request: first by rule, all categories at once; then by the models, category by category.

    A question whose reference is the letter of a choice needs no model.
    """
    by_rule = [index for index, (_, request) in enumerate(keyed) if request.category in pool.verifiers]
    verdict_of = dict(zip(by_rule, tried_twice(pool, [keyed[index][1] for index in by_rule]), strict=True))
    by_category: dict[Category, list[int]] = defaultdict(list)
    for index, (_, request) in enumerate(keyed):
        if request.category not in pool.verifiers and choices.is_choice(request):
            verdict_of[index] = choices.verdict(request)
        else:
            by_category[request.category].append(index)
    for category, indices in by_category.items():
        requests = [keyed[index] for index in indices]
        if category in pool.verifiers:
            judged = judges.second_stage(category, requests, [verdict_of[index] for index in indices])
        else:
            judged = judges.judge(category, requests)
        verdict_of.update(zip(indices, judged, strict=True))
    return [verdict_of[index] for index in range(len(keyed))]


def tried_twice(pool: VerifierPool, requests: Sequence[VerificationRequest]) -> list[Verdict]:
    """One verdict per request, in order; a verifier's failures are tried once more, those that ran out of time one at a time."""
    verdict_of = list(pool.verify(requests))
    failed = [index for index, verdict in enumerate(verdict_of) if verdict.kind in FAILED]
    late = [index for index in failed if verdict_of[index].kind == "timeout"]
    failed = [index for index in failed if verdict_of[index].kind != "timeout"]
    for index, verdict in zip(failed, pool.verify(requests[index] for index in failed), strict=True):
        verdict_of[index] = verdict
    for index in late:
        # Alone, so that no other verification takes its time.
        (verdict_of[index],) = pool.verify([requests[index]])
    return verdict_of


def with_rules(question: Question, rules: AnswerRules, instruction_mode: str = "strict") -> Question:
    """The question with the recipe's rules in its ``constraints``: how a math answer is compared, and IFEval's mode."""
    if FACTS[question.category].verifier == "instruction_following" and instruction_mode != "strict":
        return replace(question, constraints=with_mode(question.constraints, instruction_mode))
    if FACTS[question.category].verifier != "math" or question.constraints or (constraints := as_constraints(rules)) is None:
        return question
    return replace(question, constraints=constraints)


def request_of(questions: Mapping[str, Question], response: Response) -> VerificationRequest:
    """What to verify: the answer part, or the whole text of a finished response without any tags.

    Raises BadRows for a response to an unknown question.
    """
    question = questions.get(response.question_id)
    if question is None:
        msg = f"a response of {response.model} answers question {response.question_id}, which is not in the questions input"
        raise BadRows(msg)
    answer = response.answer
    untagged = answer is None and response.think is None and "<think>" not in response.text and "<answer>" not in response.text
    if untagged and response.finish_reason == "stop":
        answer = response.text
    return make_request(question, answer, response.finish_reason)


def content_id(request: VerificationRequest, settings: str) -> str:
    """Names everything a verdict depends on: the answer, the question's columns, and the settings of verifier and judges."""
    texts = (request.answer, request.reference, request.test_cases, request.constraints, request.prompt)
    return ids.content_id(VERSION, request.category, request.finish_reason, settings, *(text or "" for text in texts))


def reusable(previous: Mapping[ResponseKey, Verified], key: ResponseKey, content: str) -> Verified | None:
    """The earlier verdict on the same content; None if there is none, or the verifier had failed."""
    earlier = previous.get(key)
    return earlier if earlier is not None and earlier.content_id == content and earlier.kind not in FAILED else None


def _passes(score: float | None, threshold: float) -> bool | None:
    """Whether the score is above the threshold; None if the verifier failed, which says nothing about the response."""
    return None if score is None else score > threshold
