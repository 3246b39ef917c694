"""Convert records of a release into rows of the path, adding the ids and numbers that a release lacks."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from stillhouse.errors import BadRows
from stillhouse.exchange.record import Record
from stillhouse.vocabulary import ids
from stillhouse.vocabulary.categories import PASS_THRESHOLDS
from stillhouse.vocabulary.rows import (
    Graded,
    ModelGrade,
    Question,
    Response,
    ResponseKey,
    Screened,
    VerdictKind,
    Verified,
    response_key,
)
from stillhouse.vocabulary.statistics import wilson_interval
from stillhouse.vocabulary.transcript import opened

METHOD = "release"
"""The ``method`` of a verdict that came with a release."""
RELEASED_SAMPLES = 4
"""Responses of each model behind a released pass rate (DeepDistill §2.3)."""


def question_of(record: Record, question_id: str, license_name: str | None) -> Question:
    """The question of a record."""
    return Question(
        question_id, record.category, record.messages, record.reference_answer, record.test_cases, record.constraints,
        source=record.source, license=license_name, language=record.language, difficulty_label=record.difficulty_label,
    )  # fmt: skip


def has_content(name: str, record: Record) -> bool:
    """Whether a row of this artifact holds anything from the release: verdicts without a score do not make an artifact."""
    return {"verified": record.verify_score, "screened": record.perplexity}.get(name, record) is not None


@dataclass
class Conversion:
    """State kept from record to record: about 200 bytes per question, 100 per question and model."""

    license: str | None = None
    contents: dict[int, int] = field(default_factory=dict)
    """Question id -> a hash of all its columns."""
    samples: Counter[int] = field(default_factory=Counter)
    """Hash of question and model -> responses so far."""
    own: set[int] = field(default_factory=set)
    """Hashes of the ids that the data set gave."""

    def rows_of(self, record: Record) -> Iterator[tuple[str, Any]]:
        """The record's rows, each with the name of its artifact; none for a repeated question without a response."""
        question_id, is_new = self._question_id(record)
        if is_new:
            yield "questions", question_of(record, question_id, self.license)
            if record.pass_rates or record.level is not None:
                yield "graded", graded(record, question_id)
        if record.text is not None:
            response = self._response(record, question_id, record.text)
            key = response_key(response)
            yield "responses", response
            yield "verified", verified(record, key)
            yield "screened", screened(record, key)

    def _question_id(self, record: Record) -> tuple[str, bool]:
        """The question's id, and whether it is new. Questions that differ in any column get different ids."""
        plain = ids.question_id(record.messages, record.reference_answer)
        turns = tuple((turn["role"], turn["content"]) for turn in record.messages)
        columns = (
            turns, record.category, record.source, record.reference_answer, record.test_cases, record.constraints,
            *sorted(record.pass_rates.items()),
        )  # fmt: skip
        content, question_id = hash(columns), plain
        if record.question_id is not None:
            return record.question_id, self._own_id_is_new(record.question_id, content)
        if self.contents.get(int(plain, 16), content) != content:
            question_id = ids.content_id(plain, json.dumps(columns, ensure_ascii=False))
        is_new = int(question_id, 16) not in self.contents
        self.contents[int(question_id, 16)] = content
        return question_id, is_new

    def _own_id_is_new(self, question_id: str, content: int) -> bool:
        """Whether an id of the data set's own comes for the first time. Raises BadRows if it stood for another question."""
        number = hash(question_id)
        if self.contents.setdefault(number, content) != content:
            msg = f"question_id {question_id!r} stands for two different questions; map another column that tells them apart"
            raise BadRows(msg)
        is_new = number not in self.own
        self.own.add(number)
        return is_new

    def _response(self, record: Record, question_id: str, text: str) -> Response:
        sampled = hash((question_id, record.model))
        index = self.samples[sampled]
        self.samples[sampled] += 1
        return Response(
            question_id, record.model, "question", 1, index, opened(text), record.think, record.answer, "stop", prompt_tokens=0,
            completion_tokens=0, seed=0, sampling_id=record.sampling_id,
        )  # fmt: skip


def verified(record: Record, key: ResponseKey) -> Verified:
    """The verdict a response was released with, by the category's own threshold; kind ``error`` if the release has no score."""
    score, threshold = record.verify_score, PASS_THRESHOLDS[record.category]
    if score is None:
        return Verified(*key, "error", None, passed=None, method=METHOD, detail="released without a score", seconds=0.0)
    passed = score > threshold
    kind: VerdictKind = "correct" if passed else "partial" if score > 0 else "wrong"
    return Verified(*key, kind, score, passed=passed, method=METHOD, detail="", seconds=0.0, threshold=threshold)


def screened(record: Record, key: ResponseKey) -> Screened:
    """The screening before the release: it kept the response, so repetition is 0; the perplexity is the release's."""
    whole = record.think is not None and record.answer is not None
    return Screened(
        *key, perplexity=record.perplexity, longest_repeat=0, frequent_ngrams=0, structure_ok=whole, kept=True, reason=None
    )  # fmt: skip


def graded(record: Record, question_id: str) -> Graded:
    """The released pass rates of a question, and its level where the data set states one: else a stage's config decides it.

    A release has neither scores nor their spread: the mean score is the pass rate, as its card defines it; the CV is unknown.
    """
    grades: list[ModelGrade] = []
    for model, rate in sorted(record.pass_rates.items()):
        low, high = wilson_interval(rate, RELEASED_SAMPLES)
        grades.append(ModelGrade(model=model, n=RELEASED_SAMPLES, pass_rate=rate, mean_score=rate, cv=None, low=low, high=high))
    return Graded(question_id, record.category, grades, record.level)
