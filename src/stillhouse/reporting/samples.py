"""Responses to read on a page, with question, thinking, answer and verdict: from one evaluation, or from several checkpoints."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from stillhouse.artifacts import tables
from stillhouse.benchmarks.evaluation import Evaluation
from stillhouse.reporting.texts import has_formula
from stillhouse.vocabulary.rows import Question, Response, Verified
from stillhouse.vocabulary.text import excerpt

CHAINS_SHOWN = 30
"""Wrong chains per benchmark, and as many right ones; fewer if a page would hold too many."""
SAMPLES_SHOWN = 480
"""About how many a page holds, of at most 12 kB each: small enough for a phone."""
TEXT_CHARS = 6000
"""Longest text of a sample on the page; the rows hold the whole text."""


@dataclass(frozen=True)
class Sample:
    """One response on a page, with what it answers and how it was judged."""

    benchmark: str
    label: str
    """The checkpoint's name; empty on a page of one checkpoint."""
    number: int
    """Of the round, from 1."""
    question: str
    reference: str | None
    think: str | None
    answer: str | None
    text: str
    kind: str
    detail: str
    tokens: int
    finish_reason: str

    @property
    def texts(self) -> tuple[str, ...]:
        """Its texts that may hold formulas."""
        return tuple(text for text in (self.question, self.reference, self.think, self.answer, self.text) if text)


KeyedRow = TypeVar("KeyedRow", Response, Verified)


def with_formulas(samples: Iterable[Sample]) -> bool:
    """Whether one of the samples holds a formula."""
    return any(has_formula(text) for sample in samples for text in sample.texts)


def chains_shown(rows_per_chain: int) -> int:
    """How many wrong chains, and how many right ones; ``rows_per_chain``: samples that one chain of every benchmark adds in all."""
    return max(1, min(CHAINS_SHOWN, SAMPLES_SHOWN // (2 * rows_per_chain)))


def of_evaluation(name: str, evaluation: Evaluation, n_chains: int) -> list[Sample]:
    """The first chain of each question, round by round: chains that end wrong, then chains that end right."""
    questions = {question.question_id: question for question in evaluation.questions}
    by_question: dict[str, list[tuple[Response, Verified]]] = {}
    for response, verdict in zip(evaluation.responses, evaluation.verified, strict=True):
        if response.sample_index == 0:
            by_question.setdefault(response.question_id, []).append((response, verdict))
    chains = sorted(by_question.items())
    ended = {right: [chain for _, chain in chains if bool(chain[-1][1].passed) is right] for right in (False, True)}
    shown = [*ended[False][:n_chains], *ended[True][:n_chains]]
    return [sample_of(name, "", questions[row[0].question_id], *row) for chain in shown for row in chain]


def of_comparison(measuring: Mapping[str, Mapping[str, Path]]) -> list[Sample]:
    """Samples of every benchmark; ``measuring``: its reports, by checkpoint."""
    n_chains = chains_shown(max(1, sum(map(len, measuring.values()))))
    return [sample for name, reports in measuring.items() for sample in of_reports(name, reports, n_chains)]


def of_reports(name: str, reports: Mapping[str, Path], n_chains: int) -> list[Sample]:
    """How each checkpoint ended the first chain of a question; ``reports`` by checkpoint. Differing verdicts come first."""
    questions: dict[str, Question] = {}
    verdicts: dict[str, dict[str, Verified]] = {}
    for label, report in reports.items():
        questions |= {row.question_id: row for row in tables.read(report / name / "questions", Question)}
        verdicts[label] = _last_rounds(tables.read(report / name / "verified", Verified))
    shared = sorted(set.intersection(*(set(by_question) for by_question in verdicts.values())))
    differing = [
        question for question in shared if len({by_question[question].passed for by_question in verdicts.values()}) > 1
    ]  # fmt: skip
    equal = [question for question in shared if question not in set(differing)]
    shown = [*differing[:n_chains], *equal[:n_chains]]
    # Texts are long: keep only the responses that are shown.
    wanted = set(shown)
    responses = {
        label: _last_rounds(row for row in tables.read(report / name / "responses", Response) if row.question_id in wanted)
        for label, report in reports.items()
    }
    return [
        sample_of(name, label, questions[question], responses[label][question], verdicts[label][question])
        for question in shown
        for label in reports
    ]


def _last_rounds(rows: Iterable[KeyedRow]) -> dict[str, KeyedRow]:
    """By question, the last round of sample 0: rounds are written in their order."""
    return {row.question_id: row for row in rows if row.sample_index == 0}


def sample_of(name: str, label: str, question: Question, response: Response, verdict: Verified) -> Sample:
    """The sample of one response; ``name``: its benchmark, ``label``: its checkpoint."""
    return Sample(
        benchmark=name, label=label, number=response.round, question=excerpt(question.messages[-1]["content"], TEXT_CHARS),
        reference=question.reference_answer, think=_cut_if_any(response.think), answer=_cut_if_any(response.answer),
        text=excerpt(response.text, TEXT_CHARS), kind=verdict.kind, detail=verdict.detail, tokens=response.completion_tokens,
        finish_reason=response.finish_reason,
    )  # fmt: skip


def _cut_if_any(text: str | None) -> str | None:
    return None if text is None else excerpt(text, TEXT_CHARS)
