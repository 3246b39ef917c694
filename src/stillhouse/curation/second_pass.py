"""The second pass: read the spool part by part; label and publish the questions that stay, drop the others with their reason."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stillhouse.artifacts import tables
from stillhouse.artifacts.tables import TableParts
from stillhouse.curation.drops import Drops
from stillhouse.curation.duplicates import STAY
from stillhouse.curation.funnel import KeptCounts
from stillhouse.curation.labels import Labelled
from stillhouse.vocabulary.rows import Question

LabelQuestions = Callable[[Sequence[Question]], Labelled]
"""Asks a model for labels."""
Surplus = Callable[[Question], str | None]
"""Why downsampling leaves a question out; None if it stays."""


class SpooledQuestions(Protocol):
    """Questions on disk."""

    def tables(self) -> Iterator[tuple[int, pa.Table]]:
        """The questions part by part, each with the row number of its first question."""


class QuestionDecisions(Protocol):
    """What was decided on every question."""

    @property
    def reasons(self) -> npt.NDArray[np.uint8]:
        """``STAY`` for a question that stays, (n_questions,)."""

    def reason(self, row: int) -> tuple[str, str]:
        """Why the question does not stay, as reason and detail."""


def publish_kept(
    spool: SpooledQuestions,
    decisions: QuestionDecisions,
    label: LabelQuestions | None,
    surplus: Surplus | None,
    drops: Drops,
    output: Path,
) -> KeptCounts:
    """Write the remaining questions to ``output``, and count them."""
    kept, parts = KeptCounts(), TableParts(output, Question.SCHEMA)
    for start, table in spool.tables():
        stays = decisions.reasons[start : start + table.num_rows] == STAY
        gone = (~stays).nonzero()[0]
        for row, question in zip(gone.tolist(), _questions(table.take(gone)), strict=True):
            drops.add_question(question, *decisions.reason(start + row))
        left = table.filter(pa.array(stays))
        if label:
            left = tables.table(_labelled(list(_questions(left)), label, drops, kept.labels), Question)
        if surplus:
            left = tables.table(list(_wanted(_questions(left), surplus, drops)), Question)
        kept.add(left)
        parts.add(left)
    parts.flush()
    return kept


def _labelled(questions: list[Question], label: LabelQuestions, drops: Drops, counts: Counter[str]) -> list[Question]:
    """The questions with their labels; drop those that the model judges incomplete."""
    labelled = label(questions)
    counts.update(labelled.counts)
    for question in labelled.incomplete:
        drops.add_question(question, "incomplete_by_model", "")
    return labelled.questions


def _wanted(questions: Iterable[Question], surplus: Surplus, drops: Drops) -> Iterator[Question]:
    """The questions that downsampling keeps; drop the others."""
    for question in questions:
        if detail := surplus(question):
            drops.add_question(question, "downsampled", detail)
        else:
            yield question


def _questions(table: pa.Table) -> Iterator[Question]:
    return (Question(**values) for values in table.to_pylist())
