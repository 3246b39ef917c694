"""Responses to read on a page, with question, thinking, answer and verdict: of one evaluation, or of several checkpoints."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from stillhouse.artifacts import tables
from stillhouse.vocabulary.rows import Question, Response, Verified

CHAINS_SHOWN = 30
"""Wrong chains to a benchmark, and as many right ones; fewer where they would be too many for a page."""
SAMPLES_SHOWN = 480
"""About as many on a page, 12 kB each at the longest: it stays small enough for a phone."""
TEXT_CHARS = 6000
"""Longest text of a sample on the page; the rows have all of it."""

Sample = dict[str, Any]
Row = TypeVar("Row", Response, Verified)


def chains_shown(rows_to_a_chain: int) -> int:
    """How many of either kind; ``rows_to_a_chain``: samples that one chain of every benchmark puts on the page together."""
    return max(1, min(CHAINS_SHOWN, SAMPLES_SHOWN // (2 * rows_to_a_chain)))


def of_evaluation(
    name: str, questions: Iterable[Question], responses: Iterable[Response], verified: Iterable[Verified], n_chains: int
) -> list[Sample]:
    """The first chain of each question, round by round: those that end wrong, then those that end right."""
    asked = {question.question_id: question for question in questions}
    by_question: dict[str, list[tuple[Response, Verified]]] = {}
    for response, verdict in zip(responses, verified, strict=True):
        if response.sample_index == 0:
            by_question.setdefault(response.question_id, []).append((response, verdict))
    chains = sorted(by_question.items())
    ended = {right: [chain for _, chain in chains if bool(chain[-1][1].passed) is right] for right in (False, True)}
    shown = [*ended[False][:n_chains], *ended[True][:n_chains]]
    return [_sample(name, "", asked[pair[0].question_id], *pair) for each in shown for pair in each]


def of_comparison(measuring: Mapping[str, Mapping[str, Path]]) -> list[Sample]:
    """Of every benchmark; ``measuring``: the reports on it, by checkpoint."""
    n_chains = chains_shown(max(1, sum(map(len, measuring.values()))))
    return [sample for name, reports in measuring.items() for sample in of_reports(name, reports, n_chains)]


def of_reports(name: str, reports: Mapping[str, Path], n_chains: int) -> list[Sample]:
    """How each checkpoint ended the first chain of a question; ``reports`` by checkpoint. Those of unlike verdicts come first."""
    asked: dict[str, Question] = {}
    verdicts: dict[str, dict[str, Verified]] = {}
    for label, report in reports.items():
        asked |= {row.question_id: row for row in tables.read(report / name / "questions", Question)}
        verdicts[label] = _ends(tables.read(report / name / "verified", Verified))
    shared = sorted(set.intersection(*(set(found) for found in verdicts.values())))
    unlike = [each for each in shared if len({found[each].passed for found in verdicts.values()}) > 1]
    alike = [each for each in shared if each not in set(unlike)]
    shown = [*unlike[:n_chains], *alike[:n_chains]]
    # Texts are long: of all there are, only those that are shown are kept.
    wanted = set(shown)
    said = {
        label: _ends(row for row in tables.read(report / name / "responses", Response) if row.question_id in wanted)
        for label, report in reports.items()
    }
    return [_sample(name, label, asked[each], said[label][each], verdicts[label][each]) for each in shown for label in reports]


def _ends(read: Iterable[Row]) -> dict[str, Row]:
    """Of sample 0 of every question, the last round: rounds are written in their order."""
    return {row.question_id: row for row in read if row.sample_index == 0}


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
