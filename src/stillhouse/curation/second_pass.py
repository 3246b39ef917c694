"""The second pass: read the spool part by part; label and publish the questions that stay, drop the others with their reason."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from stillhouse.artifacts import tables
from stillhouse.artifacts.tables import TableParts
from stillhouse.curation.drops import Drops
from stillhouse.curation.duplicates import STAY, Decisions
from stillhouse.curation.funnel import KeptCounts
from stillhouse.curation.labels import Labelled
from stillhouse.curation.question_spool import QuestionSpool
from stillhouse.vocabulary.rows import Question

LabelQuestions = Callable[[Sequence[Question]], Labelled]
"""Asks a model for labels."""
Surplus = Callable[[Question], str | None]
"""Why downsampling leaves a question out; None if it stays."""


def publish_kept(
    spool: QuestionSpool, decisions: Decisions, label: LabelQuestions | None, surplus: Surplus | None, drops: Drops, output: Path
) -> KeptCounts:
    """Write this shard's remaining questions to ``output``, and count them."""
    kept, parts, owned = KeptCounts(), TableParts(output, Question.SCHEMA), spool.columns().owned
    for start, table in spool.tables():
        end = start + table.num_rows
        mine, stays = owned[start:end] == 1, decisions.reasons[start:end] == STAY
        gone = (mine & ~stays).nonzero()[0]
        for row, question in zip(gone.tolist(), _questions(table.take(gone)), strict=True):
            drops.add_question(question, *decisions.reason(start + row))
        left = table.filter(pa.array(mine & stays))
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
