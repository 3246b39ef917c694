"""Which of the questions in the pool stay: one of each group of duplicates, none that a benchmark asks, not more than wanted.

The priority within a group is declared, so that what stays does not hang on the order of the input: a question that can be
verified (it has a reference answer, tests or constraints) before one that cannot, then the rank of its source, then the longer
text, then the lower id. Rows of one id are one question: of these the first in the stream stays.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stillhouse.curation import embedding, near
from stillhouse.curation.contamination import Exams, Match
from stillhouse.curation.embedding import SemanticDuplicates
from stillhouse.curation.normalised import asked
from stillhouse.curation.spool import Columns, Pool
from stillhouse.curation.words import words
from stillhouse.vocabulary.ids import normalise
from stillhouse.vocabulary.rows import Question

if TYPE_CHECKING:
    import numpy as np

STAY = 0
REASONS = ("", "duplicate", "near_duplicate", "contaminated", "semantic_duplicate", "surplus")
"""What a verdict stands for, in the order in which questions are asked."""


@dataclass(frozen=True)
class Verdicts:
    """One verdict to each question of the pool."""

    reasons: "np.ndarray[Any, Any]"
    """Place in ``REASONS``; ``STAY`` for a question that stays."""
    representatives: "np.ndarray[Any, Any]"
    """For a duplicate the place of the question kept in its stead."""
    similarities: "np.ndarray[Any, Any]"
    """How like it that one is."""
    ids: "np.ndarray[Any, Any]"
    """The question_id of each, as a number."""
    contaminated: dict[int, str]
    """What embeddings found of a question that a benchmark asks too, by place."""
    max_questions: int | None

    def reason(self, place: int) -> tuple[str, str]:
        """Why the question does not stay, as reason and detail."""
        name = REASONS[self.reasons[place]]
        if name == "contaminated":
            return name, self.contaminated[place]
        if name == "surplus":
            return name, f"max_questions is {self.max_questions}"
        representative = int(self.ids[self.representatives[place]])
        return name, f"kept instead: {representative:016x}, similarity {self.similarities[place]:.3f}"

    def staying(self, order: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Those of the places in ``order`` that stay so far."""
        staying: np.ndarray[Any, Any] = order[self.reasons[order] == STAY]
        return staying

    def drop(self, reason: str, found: Iterable[tuple[int, int, float]]) -> None:
        """Enter duplicates: (place, place of the one kept, similarity)."""
        code = REASONS.index(reason)
        for place, representative, similarity in found:
            self.reasons[place], self.representatives[place], self.similarities[place] = code, representative, similarity


def priority(columns: Columns) -> "np.ndarray[Any, Any]":
    """The places of all questions, those to keep first."""
    import numpy as np

    place = np.arange(len(columns.ids))
    return np.lexsort((place, columns.ids, -columns.lengths.astype(np.int64), columns.ranks, 1 - columns.references))


def _undecided(columns: Columns, max_questions: int | None) -> Verdicts:
    """Verdicts by which all stay."""
    import numpy as np

    size = len(columns.ids)
    return Verdicts(
        np.zeros(size, np.uint8), np.zeros(size, np.int64), np.zeros(size, np.float32), columns.ids, {}, max_questions
    )  # fmt: skip


def decide(
    pool: Pool, exams: Exams, semantic: SemanticDuplicates | None, model: str, max_questions: int | None,
    note: Callable[[Match], None],
) -> Verdicts:  # fmt: skip
    """The verdict on every question of the pool; ``note`` is told of what embeddings find in benchmarks."""
    columns = pool.columns()
    verdicts, order = _undecided(columns, max_questions), priority(columns)
    _drop_equal(verdicts, columns, order)
    if pool.signatures:
        staying = verdicts.staying(order)
        verdicts.drop("near_duplicate", near.duplicates(pool.signatures, columns.templates, staying))
    if semantic or (exams.entries and exams.config.min_similarity):
        for match in _by_meaning(pool, verdicts, exams, semantic, model, order):
            note(match)
    if max_questions is not None:
        in_stream = (verdicts.reasons == STAY).nonzero()[0]
        verdicts.reasons[in_stream[max_questions:]] = REASONS.index("surplus")
    return verdicts


def _drop_equal(verdicts: Verdicts, columns: Columns, order: "np.ndarray[Any, Any]") -> None:
    """Of the questions with one normalised prompt all but the first in ``order``."""
    import numpy as np

    _, firsts, numbers = np.unique(columns.prompts[order], return_index=True, return_inverse=True)
    representatives = order[firsts][numbers]
    gone = representatives != order
    verdicts.reasons[order[gone]] = REASONS.index("duplicate")
    verdicts.representatives[order[gone]] = representatives[gone]
    verdicts.similarities[order[gone]] = 1.0


def _by_meaning(
    pool: Pool, verdicts: Verdicts, exams: Exams, semantic: SemanticDuplicates | None, model: str, order: "np.ndarray[Any, Any]"
) -> Iterator[Match]:
    """Embed what stays so far; drop what a benchmark asks, then semantic duplicates. Yields the matches with benchmarks."""
    import numpy as np

    loaded, columns = embedding.load(model), pool.columns()
    examined = embedding.embed(loaded, [entry.text for entry in exams.entries]) if exams.entries else None
    places: list[int] = []
    vectors = []
    for batch, questions in _staying(pool, verdicts):
        made = embedding.embed(loaded, [asked(question.messages) for question in questions])
        if semantic:
            vectors.append(made)
            places.extend(batch)
        if exams.config.min_similarity and examined is not None:
            yield from _alike(questions, batch, made @ examined.T, exams, verdicts, columns.owned)
    if semantic and vectors:
        _drop_semantic(verdicts, np.concatenate(vectors), np.asarray(places), columns, semantic, order)


def _staying(pool: Pool, verdicts: Verdicts) -> Iterator[tuple[list[int], list[Question]]]:
    """What stays so far, a batch at a time: places and questions."""
    import numpy as np

    for start, table in pool.tables():
        here = np.flatnonzero(verdicts.reasons[start : start + table.num_rows] == STAY)
        for batch in np.array_split(here, max(len(here) // embedding.BLOCK, 1)):
            if len(batch):
                yield (batch + start).tolist(), [Question(**values) for values in table.take(batch).to_pylist()]


def _alike(
    questions: Sequence[Question], places: Sequence[int], similarities: "np.ndarray[Any, Any]", exams: Exams, verdicts: Verdicts,
    owned: "np.ndarray[Any, Any]",
) -> Iterator[Match]:  # fmt: skip
    """This shard's pairs of a question and a benchmark's question that embeddings take for one; those not allowed are dropped."""
    import numpy as np

    for row, entry in np.argwhere(similarities > exams.config.min_similarity).tolist():
        question = questions[row]
        if exams.one_template(words(normalise(asked(question.messages))), entry):
            continue
        match = exams.match(question, entry, "embedding", float(similarities[row, entry]))
        if not match.allowed:
            verdicts.reasons[places[row]] = REASONS.index("contaminated")
            verdicts.contaminated[places[row]] = match.summary
        if owned[places[row]]:
            yield match


def _drop_semantic(
    verdicts: Verdicts, vectors: "np.ndarray[Any, Any]", places: "np.ndarray[Any, Any]", columns: Columns,
    config: SemanticDuplicates, order: "np.ndarray[Any, Any]",
) -> None:  # fmt: skip
    """Semantic duplicates among the questions at ``places``, one vector each, that stay so far."""
    import numpy as np

    row_of = np.full(len(order), -1)
    row_of[places] = np.arange(len(places))
    staying = verdicts.staying(order)
    groups = None if config.same_template else columns.templates[staying]
    found = embedding.duplicates(vectors[row_of[staying]], groups, config)
    verdicts.drop("semantic_duplicate", ((int(staying[row]), int(staying[other]), score) for row, other, score in found))
