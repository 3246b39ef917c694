"""Compare questions by meaning: embed those that stay, drop what a benchmark asks in other words, then semantic duplicates.

Similar texts with other numbers are not the same question, and texts with the same numbers are so at a lower similarity: see
``BenchmarkIndex.means_the_same`` and ``embedding.duplicates``.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stillhouse.curation import embedding, second_opinion
from stillhouse.curation.config import QuestionsConfig
from stillhouse.curation.contamination import BenchmarkIndex, Match
from stillhouse.curation.duplicates import REASONS, STAY, Decisions
from stillhouse.curation.kept_vectors import BLOCK
from stillhouse.curation.question_spool import QuestionSpool
from stillhouse.curation.second_opinion import Pair
from stillhouse.curation.stated_numbers import Quantities, QuantityTable, quantities
from stillhouse.curation.vector_file import VectorFile
from stillhouse.curation.words import words
from stillhouse.sampling import engine as engines
from stillhouse.sampling.engine import Engine
from stillhouse.vocabulary.ids import normalise
from stillhouse.vocabulary.rows import Question

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Similarities = npt.NDArray[np.float32]
"""Cosine similarity of each question of a batch to each benchmark question, (n_questions, n_entries)."""


@dataclass
class _Compared:
    """What semantic deduplication needs of the questions that were embedded, batch by batch."""

    vectors: VectorFile
    rows: list[int] = field(default_factory=list)
    quantities: QuantityTable = field(default_factory=QuantityTable)


class Meaning:
    """The embedding model, the benchmarks' embeddings, and a language model if there is a second opinion."""

    def __init__(self, config: QuestionsConfig, benchmark_index: BenchmarkIndex) -> None:
        """Raises EngineFailed if a model cannot be loaded."""
        opinion = config.decontamination.second_opinion
        self.counts: Counter[str] = Counter()
        """What the second opinion counts, by metric name."""
        self._semantic, self._opinion = config.semantic_duplicates, opinion
        self._index = benchmark_index
        self._model: SentenceTransformer = embedding.load(config.embedding_model)
        self._benchmark = embedding.embed(self._model, [entry.text for entry in benchmark_index.entries])
        self._engine: Engine | None = engines.load(opinion.sampling, opinion.model) if opinion else None

    def compare(self, spool: QuestionSpool, decisions: Decisions, order: npt.NDArray[np.int64]) -> Iterator[Match]:
        """Drop questions that a benchmark asks too, then semantic duplicates. Yields the matches with the benchmarks."""
        compared = _Compared(VectorFile(spool.directory / "vectors"))
        for rows, questions in _staying(spool, decisions):
            texts = [spool.own_text(question.messages) for question in questions]
            text_words = [words(normalise(text)) for text in texts]
            stated = [quantities(each) for each in text_words]
            vectors = embedding.embed(self._model, texts)
            for number, match in self._benchmark_matches(questions, texts, stated, vectors):
                if not match.allowed:
                    decisions.reasons[rows[number]] = REASONS.index("contaminated")
                    decisions.contaminated[rows[number]] = match.summary
                yield match
            # Texts of marks alone say nothing that could be the same.
            numbers = np.flatnonzero([bool(each) for each in text_words])
            if self._semantic and len(numbers):
                compared.vectors.add(vectors[numbers])
                for number in numbers.tolist():
                    compared.rows.append(rows[number])
                    compared.quantities.add(stated[number])
        if self._opinion:
            second_opinion.refuse_undecided(self._opinion, self.counts)
        if self._semantic and compared.rows:
            self._drop_semantic(decisions, compared, order)

    def _benchmark_matches(
        self, questions: Sequence[Question], texts: Sequence[str], stated: Sequence[Quantities],
        vectors: npt.NDArray[np.float32],
    ) -> Iterator[tuple[int, Match]]:  # fmt: skip
        """The matches of a batch with the number of each question, by embeddings and then by a second opinion."""
        if not self._index.entries:
            return
        matched, similarities = set(), vectors @ self._benchmark.T
        for number, entry in np.argwhere(similarities > self._least()).tolist():
            similarity = float(similarities[number, entry])
            if self._index.means_the_same(stated[number], entry, similarity):
                matched.add(number)
                yield number, self._index.match(questions[number], entry, "embedding", similarity)
        if self._opinion and self._engine:
            pairs = {
                (number, entry): (texts[number], self._index.entries[entry].text)
                for number, entry in self._nearest(similarities, self._opinion.neighbours, self._opinion.min_similarity)
                if number not in matched
            }
            for number, entry in second_opinion.same_tasks(self._opinion, self._engine, pairs, self.counts):
                similarity = float(similarities[number, entry])
                yield number, self._index.match(questions[number], entry, "second_opinion", similarity)

    def _least(self) -> float:
        """The lowest similarity by which embeddings can match a benchmark question."""
        config = self._index.config
        if config.min_similarity is None:
            return 1.0
        return min(config.min_similarity, config.same_numbers_similarity or 1.0)

    @staticmethod
    def _nearest(similarities: Similarities, count: int, least: float) -> Iterator[Pair]:
        """The nearest benchmark questions of each question, at most ``count``."""
        for number, row in enumerate(similarities):
            for entry in np.argsort(-row, kind="stable")[:count].tolist():
                if row[entry] >= least:
                    yield number, entry

    def _drop_semantic(self, decisions: Decisions, compared: _Compared, order: npt.NDArray[np.int64]) -> None:
        """Drop semantic duplicates among the questions that stay so far."""
        if self._semantic is None:
            return
        position = np.full(len(order), -1)
        position[compared.rows] = np.arange(len(compared.rows))
        staying = decisions.staying(order)
        staying = staying[position[staying] >= 0]
        vectors = compared.vectors.in_order(position[staying])
        stated = None if self._semantic.same_template else compared.quantities.taken(position[staying])
        duplicates = embedding.duplicates(vectors, stated, self._semantic)
        decisions.drop("semantic_duplicate", ((int(staying[row]), int(staying[other]), score) for row, other, score in duplicates))


def wanted(config: QuestionsConfig, benchmark_index: BenchmarkIndex) -> bool:
    """Whether the config compares questions by meaning."""
    decontamination = config.decontamination
    by_benchmark = decontamination.min_similarity is not None or decontamination.second_opinion is not None
    return config.semantic_duplicates is not None or (bool(benchmark_index.entries) and by_benchmark)


def _staying(spool: QuestionSpool, decisions: Decisions) -> Iterator[tuple[list[int], list[Question]]]:
    """The questions that stay so far with their rows, a batch at a time."""
    for start, table in spool.tables():
        staying = np.flatnonzero(decisions.reasons[start : start + table.num_rows] == STAY)
        for batch in np.array_split(staying, max(len(staying) // BLOCK, 1)):
            if len(batch):
                yield (batch + start).tolist(), [Question(**values) for values in table.take(batch).to_pylist()]
