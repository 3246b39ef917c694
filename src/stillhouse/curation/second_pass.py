"""The second pass: the pool is read again part by part; what stays is labelled and published, the rest dropped with its reason."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from stillhouse.artifacts import tables
from stillhouse.artifacts.tables import TableParts
from stillhouse.curation import funnel
from stillhouse.curation.drops import Ledger
from stillhouse.curation.duplicates import STAY, Verdicts
from stillhouse.curation.labels import Labelled
from stillhouse.curation.spool import Pool
from stillhouse.vocabulary.rows import Question

Label = Callable[[Sequence[Question]], Labelled]
"""Asks a model for labels."""
Surplus = Callable[[Question], str | None]
"""Why a question is left out when there are to be fewer of its label."""


def deliver(
    pool: Pool, verdicts: Verdicts, label: Label | None, surplus: Surplus | None, ledger: Ledger, output: Path
) -> Counter[str]:
    """Publish what stays of this shard's questions. Returns counts by metric name."""
    counts, parts, owned = Counter[str](), TableParts(output, Question.SCHEMA), pool.columns().owned
    for start, table in pool.tables():
        end = start + table.num_rows
        mine, stays = owned[start:end] == 1, verdicts.reasons[start:end] == STAY
        gone = (mine & ~stays).nonzero()[0]
        for place, question in zip(gone.tolist(), _questions(table.take(gone)), strict=True):
            ledger.drop_question(question, *verdicts.reason(start + place))
        left = table.filter(pa.array(mine & stays))
        if label:
            left = tables.table(_labelled(list(_questions(left)), label, ledger, counts), Question)
        if surplus:
            left = tables.table(list(_wanted(_questions(left), surplus, ledger)), Question)
        counts.update(funnel.composition(left))
        parts.add(left)
    parts.flush()
    return counts


def _labelled(questions: list[Question], label: Label, ledger: Ledger, counts: Counter[str]) -> list[Question]:
    """The questions with their labels; those that the model finds incomplete are dropped."""
    done = label(questions)
    counts.update(done.counts)
    for question in done.incomplete:
        ledger.drop_question(question, "incomplete_by_model", "")
    return done.questions


def _wanted(questions: Iterable[Question], surplus: Surplus, ledger: Ledger) -> Iterator[Question]:
    """The questions of labels of which so many are wanted; the others are dropped."""
    for question in questions:
        if detail := surplus(question):
            ledger.drop_question(question, "downsampled", detail)
        else:
            yield question


def _questions(table: pa.Table) -> Iterator[Question]:
    return (Question(**values) for values in table.to_pylist())
