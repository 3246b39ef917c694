"""Find questions that are translations of benchmark questions, by a model of several languages.

Only texts of different languages are compared: within one language ``curation.meaning`` is better at telling questions apart.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from stillhouse.curation import embedding
from stillhouse.curation.config import Translations
from stillhouse.curation.contamination import BenchmarkIndex
from stillhouse.curation.number_formats import words_with_english_numbers
from stillhouse.curation.stated_numbers import Quantities
from stillhouse.vocabulary.languages import language_of


class TranslationIndex:
    """The benchmarks' questions with their languages and embeddings."""

    def __init__(self, config: Translations, benchmark_index: BenchmarkIndex) -> None:
        """Raises EngineFailed if the model cannot be loaded."""
        self._config, self._index = config, benchmark_index
        self._model = embedding.load(config.model)
        texts = [entry.text for entry in benchmark_index.entries]
        self._languages = [language_of(text, frozenset(words_with_english_numbers(text))) for text in texts]
        self._vectors = embedding.embed(self._model, texts)

    def matches(
        self, texts: Sequence[str], text_words: Sequence[Sequence[str]], stated: Sequence[Quantities]
    ) -> Iterator[tuple[int, int, float]]:  # fmt: skip
        """The translations among some texts: (number of the text, number of the benchmark question, similarity)."""
        languages = [language_of(text, frozenset(own)) for text, own in zip(texts, text_words, strict=True)]
        # A benchmark of one language, the usual case: texts of it need no embedding.
        foreign = [number for number, language in enumerate(languages) if language and {language} != set(self._languages)]
        if not foreign:
            return
        similarities = embedding.embed(self._model, [texts[number] for number in foreign]) @ self._vectors.T
        least, same_numbers_least = self._config.min_similarity, self._config.same_numbers_similarity
        for place, entry in np.argwhere(similarities > min(least, same_numbers_least)).tolist():
            number, similarity = foreign[place], float(similarities[place, entry])
            is_other = languages[number] != self._languages[entry]
            if is_other and self._index.agrees(stated[number], entry, similarity, least, same_numbers_least):
                yield number, entry, similarity
