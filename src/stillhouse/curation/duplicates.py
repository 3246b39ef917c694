"""Decide which spooled questions stay: one per group of duplicates, none that a benchmark asks, at most ``max_questions``.

The priority within a group is declared, so that the result does not depend on the order of the input: a question that can be
verified (it has a reference answer, tests or constraints) before one that cannot, then the rank of its source, then the longer
text, then the lower id. Rows of one id are the same question: the first in the stream stays.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stillhouse.curation import near
from stillhouse.curation.question_cards import QuestionCard
from stillhouse.curation.question_spool import QuestionSpool, SpoolColumns

STAY = 0
REASONS = ("", "duplicate", "near_duplicate", "contaminated", "semantic_duplicate", "surplus", "conflict", "same_id")
"""Names of the reason codes. ``conflict``: a duplicate that is verified by something else than the question kept; ``same_id``:
another question has its id."""

OF_A_GROUP = ("duplicate", "near_duplicate", "semantic_duplicate", "conflict", "same_id")
"""Reasons for which another question of the group is kept."""


@dataclass(frozen=True)
class Decisions:
    """One decision per spooled question; every array is (n_questions,)."""

    reasons: npt.NDArray[np.uint8]
    """Index into ``REASONS``; ``STAY`` for a question that stays."""
    representatives: npt.NDArray[np.int64]
    """For a duplicate, the row of the question kept instead."""
    similarities: npt.NDArray[np.float32]
    """For a duplicate, its similarity to that question."""
    contaminated: dict[int, str]
    """The evidence by embeddings that a benchmark asks the question too, by row."""
    max_questions: int | None
    by_opinion: set[int] = field(default_factory=set)
    """The semantic duplicates that a language model found."""
    kept: dict[int, QuestionCard] = field(default_factory=dict)
    """The questions kept instead of duplicates, by row."""

    def look_up(self, spool: QuestionSpool) -> None:
        """Read the questions that were kept instead of duplicates, for the details of those."""
        rows = np.unique(self.representatives[np.isin(self.reasons, [REASONS.index(name) for name in OF_A_GROUP])])
        self.kept.update(spool.cards(rows))

    def reason(self, row: int) -> tuple[str, str]:
        """Why the question does not stay, as reason and detail."""
        name = REASONS[self.reasons[row]]
        if name == "contaminated":
            return name, self.contaminated[row]
        if name == "surplus":
            return name, f"max_questions is {self.max_questions}"
        kept = self.kept[int(self.representatives[row])]
        if name == "conflict":
            return name, f"same question as {kept.question_id}, which stays, with another answer: {kept.answer!r}"
        if name == "same_id":
            return name, f"another question, which stays, has this question_id: {kept.text!r}"
        by_whom = ", by second opinion" if row in self.by_opinion else ""
        return name, f"kept instead: {kept.question_id}, similarity {self.similarities[row]:.3f}{by_whom}"

    def staying(self, order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The rows in ``order`` that stay so far."""
        staying: npt.NDArray[np.int64] = order[self.reasons[order] == STAY]
        return staying

    def drop(self, reason: str, duplicates: Iterable[tuple[int, int, float]]) -> None:
        """Drop duplicates: (row, row of the question kept, similarity)."""
        code = REASONS.index(reason)
        for row, representative, similarity in duplicates:
            self.reasons[row], self.representatives[row], self.similarities[row] = code, representative, similarity


def priority(columns: SpoolColumns) -> npt.NDArray[np.int64]:
    """The rows of all questions (n_questions,), preferred ones first."""
    return np.lexsort((columns.positions, columns.ids, -columns.lengths.astype(np.int64), columns.ranks, 1 - columns.references))


def _undecided(columns: SpoolColumns, max_questions: int | None) -> Decisions:
    """Decisions by which all questions stay."""
    size = len(columns.ids)
    return Decisions(
        np.zeros(size, np.uint8), np.zeros(size, np.int64), np.zeros(size, np.float32), {}, max_questions
    )  # fmt: skip


def by_form(spool: QuestionSpool, max_questions: int | None) -> tuple[Decisions, npt.NDArray[np.int64]]:
    """Decide on equal and near questions. Returns the decisions, and the rows of all questions, preferred ones first."""
    spool.leave_out_boilerplate()
    columns = spool.columns()
    decisions, order = _undecided(columns, max_questions), priority(columns)
    _drop_equal(decisions, columns, order)
    if spool.signatures:
        staying = decisions.staying(order)
        decisions.drop("near_duplicate", near.duplicates(spool.signatures, columns.templates, staying))
    return decisions, order


def drop_surplus(decisions: Decisions, columns: SpoolColumns) -> None:
    """Of the questions that stay so far, drop those after the first ``max_questions`` in the stream."""
    if decisions.max_questions is not None:
        staying = (decisions.reasons == STAY).nonzero()[0]
        in_stream = staying[np.argsort(columns.positions[staying])]
        decisions.reasons[in_stream[decisions.max_questions :]] = REASONS.index("surplus")


def _drop_equal(decisions: Decisions, columns: SpoolColumns, order: npt.NDArray[np.int64]) -> None:
    """Among questions with equal normalised prompts or with one id, drop all but the first in ``order``."""
    for keys, reason in ((columns.prompts, "duplicate"), (columns.names, "same_id")):
        staying = decisions.staying(order)
        _, firsts, numbers = np.unique(keys[staying], return_index=True, return_inverse=True)
        representatives = staying[firsts][numbers]
        gone = representatives != staying
        decisions.reasons[staying[gone]] = REASONS.index(reason)
        decisions.representatives[staying[gone]] = representatives[gone]
        decisions.similarities[staying[gone]] = 1.0
    # A question without an answer contradicts none.
    others = columns.answers != columns.answers[decisions.representatives]
    conflict = (decisions.reasons == REASONS.index("duplicate")) & others & (columns.references == 1)
    decisions.reasons[conflict] = REASONS.index("conflict")
