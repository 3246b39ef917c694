"""Responses -> verdicts -> rows: each by its category's verifier or judge, what was judged before taken over."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from stillhouse.errors import BadRows
from stillhouse.verification.judges import JUDGES, Judges
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.verdict import Request, Verdict, held_against
from stillhouse.vocabulary import ids, rows
from stillhouse.vocabulary.categories import PASS_THRESHOLDS, Category
from stillhouse.vocabulary.rows import FAILED, Question, Response, ResponseKey, Verified

VERSION = "1"
"""Part of what a verdict is known by: raised when a verifier comes to judge otherwise, so that older verdicts are made again."""


def verdicts(
    pool: VerifierPool, questions: Mapping[str, Question], responses: Sequence[Response],
    thresholds: Mapping[Category, float] = PASS_THRESHOLDS, judges: Judges | None = None,
    previous: Mapping[ResponseKey, Verified] | None = None,
) -> list[Verified]:  # fmt: skip
    """The verdict on each response, in order. Raises BadRows for a response to an unknown question.

    Taken from ``previous`` where key and content are equal; what a verifier failed on is tried once more.
    """
    judges = judges or Judges(None, None)
    keyed = [(rows.response_key(response), request_of(questions, response)) for response in responses]
    ids = [content_id(request, judges.settings(request.category)) for _, request in keyed]
    made: dict[int, Verified] = {}
    for place, (key, request) in enumerate(keyed):
        if (old := reusable(previous or {}, key, ids[place])) is not None:
            threshold = thresholds[request.category]
            made[place] = replace(old, passed=_passes(old.verify_score, threshold), threshold=threshold)
    new = [place for place in range(len(keyed)) if place not in made]
    for place, verdict in zip(new, _judged(pool, judges, [keyed[place] for place in new]), strict=True):
        key, request = keyed[place]
        threshold = thresholds[request.category]
        made[place] = Verified(
            *key, verdict.kind, verdict.verify_score, _passes(verdict.verify_score, threshold), verdict.method, verdict.detail,
            verdict.seconds, ids[place], threshold,
        )  # fmt: skip
    return [made[place] for place in range(len(keyed))]


def _judged(pool: VerifierPool, judges: Judges, keyed: Sequence[tuple[ResponseKey, Request]]) -> list[Verdict]:
    """One verdict for each: rules first, all categories in one go; then the models, category by category."""
    ruled = [place for place, (_, request) in enumerate(keyed) if request.category not in JUDGES]
    found = dict(zip(ruled, _tried_twice(pool, [keyed[place][1] for place in ruled]), strict=True))
    by_category: dict[str, list[int]] = defaultdict(list)
    for place, (_, request) in enumerate(keyed):
        by_category[request.category].append(place)
    for category, places in by_category.items():
        these = [keyed[place] for place in places]
        if category in JUDGES:
            made = JUDGES[category](judges, category, these)
        else:
            made = judges.second(category, these, [found[place] for place in places])
        found.update(zip(places, made, strict=True))
    return [found[place] for place in range(len(keyed))]


def _tried_twice(pool: VerifierPool, requests: Sequence[Request]) -> list[Verdict]:
    found = list(pool.verify(requests))
    again = [place for place, verdict in enumerate(found) if verdict.kind in FAILED]
    for place, verdict in zip(again, pool.verify(requests[place] for place in again), strict=True):
        found[place] = verdict
    return found


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
    return held_against(question, answer, response.finish_reason)


def content_id(request: Request, settings: str) -> str:
    """Names all that a verdict depends on: the answer, what it is held against, and the settings of the models that judge it."""
    given = (request.answer, request.reference, request.test_cases, request.constraints, request.prompt)
    return ids.content_id(VERSION, request.category, request.finish_reason, settings, *(text or "" for text in given))


def reusable(previous: Mapping[ResponseKey, Verified], key: ResponseKey, content: str) -> Verified | None:
    """The earlier verdict on the same content; None where there is none, or the verifier had failed."""
    old = previous.get(key)
    return old if old is not None and old.content_id == content and old.kind not in FAILED else None


def _passes(score: float | None, threshold: float) -> bool | None:
    """Whether the score is above the threshold; None where the verifier failed, which says nothing about the response."""
    return None if score is None else score > threshold
