"""Compare questions by meaning: embed those that stay, drop what a benchmark asks in other words, then semantic duplicates.

Similar texts with other numbers are not the same question, and texts with the same numbers are so at a lower similarity: see
``BenchmarkIndex.means_the_same`` and ``embedding.duplicates``.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stillhouse.curation import embedding
from stillhouse.curation.config import Decontamination, QuestionsConfig, SecondOpinion, SemanticDuplicates
from stillhouse.curation.contamination import BenchmarkIndex, Match
from stillhouse.curation.duplicates import REASONS, STAY, Decisions
from stillhouse.curation.embedding import Embedder
from stillhouse.curation.kept_opinions import KeptOpinions
from stillhouse.curation.kept_vectors import BLOCK
from stillhouse.curation.number_formats import words_with_english_numbers
from stillhouse.curation.question_spool import QuestionSpool
from stillhouse.curation.second_opinion import NearestPairs, Opinions, Pair, Texts
from stillhouse.curation.stated_numbers import Quantities, QuantityTable, quantities
from stillhouse.curation.translations import TranslationIndex
from stillhouse.curation.vector_file import VectorFile
from stillhouse.sampling import engine as engines
from stillhouse.vocabulary.rows import Question

Similarities = npt.NDArray[np.float32]
"""Cosine similarity of each question of a batch to each benchmark question, (n_questions, n_entries)."""


@dataclass
class _Compared:
    """What semantic deduplication needs of the questions that were embedded, batch by batch."""

    vectors: VectorFile
    rows: list[int] = field(default_factory=list)
    quantities: QuantityTable = field(default_factory=QuantityTable)


class Meaning:
    """The embedding model, the benchmarks' embeddings, and the language models that are asked for a second opinion."""

    def __init__(self, config: QuestionsConfig, benchmark_index: BenchmarkIndex, kept: KeptOpinions) -> None:
        """Raises EngineFailed if a model cannot be loaded."""
        self.counts: Counter[str] = Counter()
        """What the second opinions count, by metric name."""
        self._kept = kept
        self._semantic = config.semantic_duplicates
        self._index = benchmark_index
        self._model: Embedder = embedding.load(config.embedding_model)
        self._benchmark = embedding.embed(self._model, [entry.text for entry in benchmark_index.entries])
        translations = config.decontamination.translations if benchmark_index.entries else None
        self._translations = TranslationIndex(translations, benchmark_index) if translations else None
        self._on_benchmarks = self._opinions(config.decontamination.second_opinion, "n_second_opinion")
        on_duplicates = self._semantic.second_opinion if self._semantic else None
        self._on_duplicates = self._opinions(on_duplicates, "n_second_opinion_duplicates")

    def _opinions(self, config: SecondOpinion | None, metric: str) -> Opinions | None:
        return Opinions(config, engines.load(config.sampling, config.model), metric, self.counts, self._kept) if config else None

    def compare(self, spool: QuestionSpool, decisions: Decisions, order: npt.NDArray[np.int64]) -> Iterator[Match]:
        """Drop questions that a benchmark asks too, then semantic duplicates. Yields the matches with the benchmarks."""
        compared = _Compared(VectorFile(spool.directory / "vectors"))
        opinions = self._on_benchmarks
        nearest = NearestPairs(opinions.config.max_pairs) if opinions else None
        for rows, questions in _staying(spool, decisions):
            texts = [spool.own_text(question.messages) for question in questions]
            text_words = [words_with_english_numbers(text) for text in texts]
            stated = [quantities(each) for each in text_words]
            vectors = embedding.embed(self._model, texts)
            similarities = vectors @ self._benchmark.T if self._index.entries else np.empty((len(rows), 0), np.float32)
            matched = set()
            found = (
                *self._benchmark_matches(questions, stated, similarities),
                *self._translated(questions, texts, text_words, stated),
            )
            for number, match in found:
                matched.add(number)
                _drop(decisions, rows[number], match)
                yield match
            if opinions and nearest:
                for number, entry in _nearest(similarities, opinions.config):
                    if number not in matched:
                        nearest.add(rows[number], entry, float(similarities[number, entry]))
            self._keep_for_comparison(compared, rows, text_words, stated, vectors)
        if opinions and nearest:
            yield from self._matches_by_opinion(opinions, nearest, spool, decisions)
        if self._semantic and compared.rows:
            self._drop_semantic(self._semantic, spool, decisions, compared, order)

    def _keep_for_comparison(
        self, compared: _Compared, rows: Sequence[int], text_words: Sequence[Sequence[str]], stated: Sequence[Quantities],
        vectors: npt.NDArray[np.float32],
    ) -> None:  # fmt: skip
        # Texts of marks alone say nothing that could be the same.
        numbers = np.flatnonzero([bool(each) for each in text_words])
        if self._semantic and len(numbers):
            compared.vectors.add(vectors[numbers])
            for number in numbers.tolist():
                compared.rows.append(rows[number])
                compared.quantities.add(stated[number])

    def _benchmark_matches(
        self, questions: Sequence[Question], stated: Sequence[Quantities], similarities: Similarities
    ) -> Iterator[tuple[int, Match]]:  # fmt: skip
        """The matches of a batch by embeddings, each with the number of its question."""
        for number, entry in np.argwhere(similarities > self._least()).tolist():
            similarity = float(similarities[number, entry])
            if self._index.means_the_same(stated[number], entry, similarity):
                yield number, self._index.match(questions[number], entry, "embedding", similarity)

    def _translated(
        self, questions: Sequence[Question], texts: Sequence[str], text_words: Sequence[Sequence[str]], stated: Sequence[Quantities]
    ) -> Iterator[tuple[int, Match]]:  # fmt: skip
        """The matches of a batch with benchmark questions of other languages."""
        if self._translations:
            for number, entry, similarity in self._translations.matches(texts, text_words, stated):
                yield number, self._index.match(questions[number], entry, "translation", similarity)

    def _matches_by_opinion(
        self, opinions: Opinions, nearest: NearestPairs, spool: QuestionSpool, decisions: Decisions
    ) -> Iterator[Match]:  # fmt: skip
        """The matches that the language model finds."""

        def texts_of(pairs: Sequence[Pair]) -> dict[Pair, Texts]:
            own = spool.own_texts(np.unique([row for row, _ in pairs]))
            return {(row, entry): (own[row], self._index.entries[entry].text) for row, entry in pairs}

        same = list(opinions.same_tasks(nearest, texts_of))
        questions = spool.questions(np.unique([row for (row, _), _ in same]).astype(np.int64))
        for (row, entry), similarity in same:
            match = self._index.match(questions[row], entry, "second_opinion", similarity)
            _drop(decisions, row, match)
            yield match

    def _least(self) -> float:
        """The lowest similarity by which embeddings can match a benchmark question."""
        config = self._index.config
        if config.min_similarity is None:
            return 1.0
        return min(config.min_similarity, config.same_numbers_similarity or 1.0)

    def _drop_semantic(
        self, config: SemanticDuplicates, spool: QuestionSpool, decisions: Decisions, compared: _Compared,
        order: npt.NDArray[np.int64],
    ) -> None:  # fmt: skip
        """Drop semantic duplicates among the questions that stay so far."""
        position = np.full(len(order), -1)
        position[compared.rows] = np.arange(len(compared.rows))
        staying = decisions.staying(order)
        staying = staying[position[staying] >= 0]
        stated = None if config.same_template else compared.quantities.taken(position[staying])
        duplicates = embedding.duplicates(compared.vectors.in_order(position[staying]), stated, config)
        decisions.drop("semantic_duplicate", ((int(staying[row]), int(staying[other]), score) for row, other, score in duplicates))
        if self._on_duplicates:
            left = decisions.staying(staying)
            stated = None if config.same_template else compared.quantities.taken(position[left])
            vectors = compared.vectors.in_order(position[left])
            self._drop_by_opinion(self._on_duplicates, embedding.neighbours(vectors, stated, config), left, spool, decisions)

    @staticmethod
    def _drop_by_opinion(
        opinions: Opinions, neighbours: Iterable[tuple[int, int, float]], left: npt.NDArray[np.int64], spool: QuestionSpool,
        decisions: Decisions,
    ) -> None:  # fmt: skip
        """Drop what the language model calls the same task as a question before it; ``left`` (n,): the rows of the neighbours."""
        nearest = NearestPairs(opinions.config.max_pairs)
        for row, other, similarity in neighbours:
            nearest.add(row, other, similarity)

        def texts_of(pairs: Sequence[Pair]) -> dict[Pair, Texts]:
            own = spool.own_texts(np.unique(left[np.array(pairs).ravel()]))
            return {(row, other): (own[int(left[row])], own[int(left[other])]) for row, other in pairs}

        kept_instead: dict[int, int] = {}
        for (row, other), similarity in opinions.same_tasks(nearest, texts_of):
            if row not in kept_instead:
                # The other one comes before: what is kept instead of it is decided.
                kept_instead[row] = kept_instead.get(other, other)
                decisions.by_opinion.add(int(left[row]))
                decisions.drop("semantic_duplicate", [(int(left[row]), int(left[kept_instead[row]]), similarity)])


def _drop(decisions: Decisions, row: int, match: Match) -> None:
    """Drop the question of this row for the match, unless it is allowed."""
    if not match.allowed:
        decisions.reasons[row] = REASONS.index("contaminated")
        decisions.contaminated[row] = match.summary


def _nearest(similarities: Similarities, config: SecondOpinion) -> Iterator[Pair]:
    """The nearest benchmark questions of each question."""
    for number, row in enumerate(similarities):
        for entry in np.argsort(-row, kind="stable")[: config.neighbours].tolist():
            if row[entry] >= config.min_similarity:
                yield number, entry


def wanted(config: QuestionsConfig, benchmark_index: BenchmarkIndex) -> bool:
    """Whether the config compares questions by meaning."""
    return config.semantic_duplicates is not None or (bool(benchmark_index.entries) and by_meaning(config.decontamination))


def by_meaning(config: Decontamination) -> bool:
    """Whether questions are compared with the benchmarks' by meaning."""
    return any(method is not None for method in (config.min_similarity, config.translations, config.second_opinion))


def _staying(spool: QuestionSpool, decisions: Decisions) -> Iterator[tuple[list[int], list[Question]]]:
    """The questions that stay so far with their rows, a batch at a time."""
    for start, table in spool.tables():
        staying = np.flatnonzero(decisions.reasons[start : start + table.num_rows] == STAY)
        for batch in np.array_split(staying, max(len(staying) // BLOCK, 1)):
            if len(batch):
                yield (batch + start).tolist(), [Question(**values) for values in table.take(batch).to_pylist()]
