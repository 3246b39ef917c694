"""Decide which spooled questions stay: one per group of duplicates, none that a benchmark asks, at most ``max_questions``.

The priority within a group is declared, so that the result does not depend on the order of the input: a question that can be
verified (it has a reference answer, tests or constraints) before one that cannot, then the rank of its source, then the longer
text, then the lower id. Rows of one id are the same question: the first in the stream stays.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stillhouse.curation import embedding, near
from stillhouse.curation.config import SemanticDuplicates
from stillhouse.curation.contamination import BenchmarkIndex, Match
from stillhouse.curation.normalised import user_text
from stillhouse.curation.question_spool import QuestionSpool, SpoolColumns
from stillhouse.curation.words import words
from stillhouse.vocabulary.ids import normalise
from stillhouse.vocabulary.rows import Question

STAY = 0
REASONS = ("", "duplicate", "near_duplicate", "contaminated", "semantic_duplicate", "surplus")
"""Names of the reason codes, in the order in which the checks run."""


@dataclass(frozen=True)
class Decisions:
    """One decision per spooled question; every array is (n_questions,)."""

    reasons: npt.NDArray[np.uint8]
    """Index into ``REASONS``; ``STAY`` for a question that stays."""
    representatives: npt.NDArray[np.int64]
    """For a duplicate, the row of the question kept instead."""
    similarities: npt.NDArray[np.float32]
    """For a duplicate, its similarity to that question."""
    ids: npt.NDArray[np.uint64]
    """The question_id as a number."""
    contaminated: dict[int, str]
    """The evidence by embeddings that a benchmark asks the question too, by row."""
    max_questions: int | None

    def reason(self, row: int) -> tuple[str, str]:
        """Why the question does not stay, as reason and detail."""
        name = REASONS[self.reasons[row]]
        if name == "contaminated":
            return name, self.contaminated[row]
        if name == "surplus":
            return name, f"max_questions is {self.max_questions}"
        representative = int(self.ids[self.representatives[row]])
        return name, f"kept instead: {representative:016x}, similarity {self.similarities[row]:.3f}"

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
        np.zeros(size, np.uint8), np.zeros(size, np.int64), np.zeros(size, np.float32), columns.ids, {}, max_questions
    )  # fmt: skip


def decide(
    spool: QuestionSpool, benchmark_index: BenchmarkIndex, semantic: SemanticDuplicates | None, model: str,
    max_questions: int | None, add_match: Callable[[Match], None],
) -> Decisions:  # fmt: skip
    """Decide on every spooled question. ``add_match`` is called with each match that embeddings find in a benchmark."""
    columns = spool.columns()
    decisions, order = _undecided(columns, max_questions), priority(columns)
    _drop_equal(decisions, columns, order)
    if spool.signatures:
        staying = decisions.staying(order)
        decisions.drop("near_duplicate", near.duplicates(spool.signatures, columns.templates, staying))
    if semantic or (benchmark_index.entries and benchmark_index.config.min_similarity):
        for match in _by_meaning(spool, decisions, benchmark_index, semantic, model, order):
            add_match(match)
    if max_questions is not None:
        staying = (decisions.reasons == STAY).nonzero()[0]
        in_stream = staying[np.argsort(columns.positions[staying])]
        decisions.reasons[in_stream[max_questions:]] = REASONS.index("surplus")
    return decisions


def _drop_equal(decisions: Decisions, columns: SpoolColumns, order: npt.NDArray[np.int64]) -> None:
    """Among questions with equal normalised prompts, drop all but the first in ``order``."""
    _, firsts, numbers = np.unique(columns.prompts[order], return_index=True, return_inverse=True)
    representatives = order[firsts][numbers]
    gone = representatives != order
    decisions.reasons[order[gone]] = REASONS.index("duplicate")
    decisions.representatives[order[gone]] = representatives[gone]
    decisions.similarities[order[gone]] = 1.0


def _by_meaning(
    spool: QuestionSpool, decisions: Decisions, benchmark_index: BenchmarkIndex, semantic: SemanticDuplicates | None, model: str,
    order: npt.NDArray[np.int64],
) -> Iterator[Match]:  # fmt: skip
    """Embed the questions that stay so far; drop those a benchmark asks, then semantic duplicates. Yields the benchmark matches."""
    loaded, columns = embedding.load(model), spool.columns()
    entries = benchmark_index.entries
    benchmark_vectors = embedding.embed(loaded, [entry.text for entry in entries]) if entries else None
    rows: list[int] = []
    blocks = []
    for batch, questions in _staying(spool, decisions):
        vectors = embedding.embed(loaded, [user_text(question.messages) for question in questions])
        if semantic:
            blocks.append(vectors)
            rows.extend(batch)
        if (least := benchmark_index.config.min_similarity) and benchmark_vectors is not None:
            similar = vectors @ benchmark_vectors.T
            pairs = [(row, entry, float(similar[row, entry])) for row, entry in np.argwhere(similar > least).tolist()]
            yield from _matches(questions, batch, pairs, benchmark_index, decisions)
    if semantic and blocks:
        _drop_semantic(decisions, np.concatenate(blocks), np.asarray(rows), columns, semantic, order)


def _staying(spool: QuestionSpool, decisions: Decisions) -> Iterator[tuple[list[int], list[Question]]]:
    """The questions that stay so far with their rows, a batch at a time."""
    for start, table in spool.tables():
        staying = np.flatnonzero(decisions.reasons[start : start + table.num_rows] == STAY)
        for batch in np.array_split(staying, max(len(staying) // embedding.BLOCK, 1)):
            if len(batch):
                yield (batch + start).tolist(), [Question(**values) for values in table.take(batch).to_pylist()]


def _matches(
    questions: Sequence[Question], rows: Sequence[int], pairs: Sequence[tuple[int, int, float]], benchmark_index: BenchmarkIndex,
    decisions: Decisions,
) -> Iterator[Match]:  # fmt: skip
    """Drop the questions that embeddings match to a benchmark, unless allowed; yield the matches.

    ``pairs``: (number of the question, number of the benchmark question, similarity).
    """
    for number, entry, similarity in pairs:
        question, row = questions[number], rows[number]
        if benchmark_index.is_other_instance(words(normalise(user_text(question.messages))), entry):
            continue
        match = benchmark_index.match(question, entry, "embedding", similarity)
        if not match.allowed:
            decisions.reasons[row] = REASONS.index("contaminated")
            decisions.contaminated[row] = match.summary
        yield match


def _drop_semantic(
    decisions: Decisions, vectors: npt.NDArray[np.float32], rows: npt.NDArray[np.int64], columns: SpoolColumns,
    config: SemanticDuplicates, order: npt.NDArray[np.int64],
) -> None:  # fmt: skip
    """Drop semantic duplicates among the questions that stay so far; ``vectors`` are the embeddings of ``rows``."""
    position = np.full(len(order), -1)
    position[rows] = np.arange(len(rows))
    staying = decisions.staying(order)
    groups = None if config.same_template else columns.templates[staying]
    duplicates = embedding.duplicates(vectors[position[staying]], groups, config)
    decisions.drop("semantic_duplicate", ((int(staying[row]), int(staying[other]), score) for row, other, score in duplicates))
