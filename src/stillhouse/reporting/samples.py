"""Responses to read on a page, with question, thinking, answer and verdict: of one evaluation, or of several checkpoints."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stillhouse import rows
from stillhouse.rows import Question, Response, Verified

CHAINS_SHOWN = 30
"""Wrong chains to a benchmark, and as many right ones: a page stays small enough for a phone."""
TEXT_CHARS = 6000
"""Longest text of a sample on the page; the rows have all of it."""

Sample = dict[str, Any]
Judged = tuple[Response, Verified]


def of_evaluation(
    name: str, questions: Iterable[Question], responses: Iterable[Response], verified: Iterable[Verified]
) -> list[Sample]:
    """The first chain of each question, round by round: those that end wrong, then those that end right."""
    asked = {question.question_id: question for question in questions}
    chains = sorted(_first_chains(responses, verified).items())
    ended = {right: [chain for _, chain in chains if bool(chain[-1][1].passed) is right] for right in (False, True)}
    shown = [*ended[False][:CHAINS_SHOWN], *ended[True][:CHAINS_SHOWN]]
    return [_sample(name, "", asked[pair[0].question_id], *pair) for each in shown for pair in each]


def of_reports(name: str, reports: Mapping[str, Path]) -> list[Sample]:
    """How each checkpoint ended the first chain of a question; ``reports`` by checkpoint. Those of unlike verdicts come first."""
    read: dict[str, dict[str, list[Judged]]] = {}
    asked: dict[str, Question] = {}
    for label, report in reports.items():
        asked |= {row.question_id: row for row in rows.read(report / name / "questions", Question)}
        judged = rows.read(report / name / "responses", Response), rows.read(report / name / "verified", Verified)
        read[label] = _first_chains(*judged)
    shared = sorted(set.intersection(*(set(chains) for chains in read.values())))
    ends = {each: [(label, chains[each][-1]) for label, chains in read.items()] for each in shared}
    unlike = [each for each in shared if len({verdict.passed for _, (_, verdict) in ends[each]}) > 1]
    alike = [each for each in shared if each not in set(unlike)]
    shown = [*unlike[:CHAINS_SHOWN], *alike[:CHAINS_SHOWN]]
    return [_sample(name, label, asked[each], *pair) for each in shown for label, pair in ends[each]]


def _first_chains(responses: Iterable[Response], verified: Iterable[Verified]) -> dict[str, list[Judged]]:
    """Sample 0 of every question, by round."""
    chains: dict[str, list[Judged]] = {}
    for response, verdict in zip(responses, verified, strict=True):
        if response.sample_index == 0:
            chains.setdefault(response.question_id, []).append((response, verdict))
    return chains


def _sample(name: str, label: str, question: Question, response: Response, verdict: Verified) -> Sample:
    return {
        "benchmark": name, "label": label, "number": response.round, "question": _cut(question.messages[-1]["content"]),
        "reference": question.reference_answer, "think": _cut(response.think), "answer": _cut(response.answer),
        "text": _cut(response.text), "kind": verdict.kind, "detail": verdict.detail, "tokens": response.completion_tokens,
        "finish_reason": response.finish_reason,
    }  # fmt: skip


def _cut(text: str | None) -> str | None:
    """The text without its middle, where it is too long for the page."""
    if text is None or len(text) <= TEXT_CHARS:
        return text
    half = TEXT_CHARS // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters …]\n{text[-half:]}"
