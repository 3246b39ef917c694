"""Find questions that a benchmark also asks, with the evidence: both texts, the method and the score.

DeepDistill §2.2 compares with AIME 2024 by exact and near matches and by embeddings; it describes no n-grams. Methods:

- ``exact``: one user turn, or all of them together, has the same words. Case, punctuation and re-answer prompts make no difference.
  A text without any sign has the same letters and digits: who strips punctuation turns 1.5 into 15 and 20 % into 20.
- ``ngram``: the share of the benchmark question's n-grams that the question contains. The n-grams are short and half of them
  suffice, so that a question with every seventh word changed is found; a short question must be contained in full.
- ``contained``: the share of the question's own n-grams that the benchmark question contains. It finds one half of it.
- ``embedding``: cosine similarity, see ``curation.meaning``.
- ``translation``: the same of a text in another language, see ``curation.translations``.
- ``second_opinion``: a language model's, see ``curation.second_opinion``.

Two questions made from one template with different numbers do not match (``stated_numbers.contradict``).
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from stillhouse.curation.config import Decontamination
from stillhouse.curation.normalised import NormalisedQuestion, user_text
from stillhouse.curation.number_formats import words_with_english_numbers
from stillhouse.curation.stated_numbers import Quantities, agreement, contradict, quantities
from stillhouse.curation.words import words
from stillhouse.vocabulary.ids import normalise
from stillhouse.vocabulary.prompts import previous_answer_prompt
from stillhouse.vocabulary.rows import Message, Question

# The re-answer prompt with the question as a group.
_REANSWER = re.compile(
    re.escape(previous_answer_prompt("QUESTION", "ANSWER")).replace("QUESTION", "(?P<question>.+)").replace("ANSWER", ".*?"),
    flags=re.DOTALL,
)
_REANSWER_END = previous_answer_prompt("", "").rpartition(">")[2]


_SIGN = re.compile(r"[^\w\s]")
SMALLEST_PART = 0.25
"""Share of a benchmark question's n-grams below which a question is no half of it."""


@dataclass(frozen=True, slots=True)
class Match:
    """A question and the benchmark question it matches."""

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [(name, pa.string()) for name in ("question_id", "benchmark", "benchmark_question_id", "method")]
        + [("score", pa.float64()), ("allowed", pa.bool_()), ("question", pa.string()), ("benchmark_question", pa.string())]
    )

    question_id: str
    benchmark: str
    benchmark_question_id: str
    method: str
    score: float
    allowed: bool
    question: str
    benchmark_question: str

    @property
    def summary(self) -> str:
        """The match in one line, for the detail of a dropped row."""
        return f"asked by {self.benchmark}, question {self.benchmark_question_id}: {self.method} {self.score:.2f}"


@dataclass(frozen=True)
class _BenchmarkQuestion:
    """One question of a benchmark; ``needed`` of its n-grams ``grams`` make a match."""

    benchmark: str
    question_id: str
    text: str
    words: list[str]
    grams: frozenset[tuple[str, ...]]
    needed: int
    fewest: int
    """How many of its n-grams a question has at least that contains it or is contained in it."""
    quantities: Quantities
    meant: Quantities
    """The same with the number formats of its language read: compared with translations."""

    @property
    def sieve(self) -> int:
        """How many of the indexed n-grams must be found before all are compared."""
        return -(-self.fewest // 4)


@dataclass(frozen=True)
class BenchmarkIndex:
    """The questions of all benchmarks to keep out, indexed by their words."""

    config: Decontamination
    entries: list[_BenchmarkQuestion]
    exact: Mapping[str, list[int]]
    """The joined words of a turn -> indices into ``entries``."""
    unsigned: Mapping[str, list[int]]
    """The letters and digits of an entry that is not short -> indices into ``entries``."""
    rare: Mapping[tuple[str, ...], list[int]]
    """N-gram -> indices into ``entries``. Each entry is under its rarest n-grams, so that any match has ``sieve`` of them."""

    def matches(self, normalised: NormalisedQuestion) -> list[Match]:
        """The benchmark questions that the question matches by its words."""
        if not self.entries:
            return []
        scored = {number: ("exact", 1.0) for text in _turns(normalised) for number in self.exact.get(text, ())}
        for text in _texts(normalised.question.messages):
            if self.unsigned and not _SIGN.search(text):
                scored |= dict.fromkeys(self.unsigned.get(_unsigned(text), ()), ("exact", 1.0))
        for number, method, overlap in self._overlaps(normalised.words):
            scored.setdefault(number, (method, overlap))
        return [self.match(normalised.question, number, method, score) for number, (method, score) in sorted(scored.items())]

    def match(self, question: Question, number: int, method: str, score: float) -> Match:
        """The evidence that the question matches the entry of this number."""
        entry = self.entries[number]
        allowed = not {question.question_id, f"{entry.benchmark}/{question.question_id}"}.isdisjoint(self.config.allowed)
        return Match(
            question.question_id,
            entry.benchmark,
            entry.question_id,
            method,
            score,
            allowed,
            user_text(question.messages),
            entry.text,
        )

    def means_the_same(self, question: Quantities, number: int, similarity: float) -> bool:
        """Whether a cosine similarity to the entry suffices, given the numbers that the two texts state."""
        config = self.config
        return config.min_similarity is not None and self.agrees(
            question, number, similarity, config.min_similarity, config.same_numbers_similarity
        )

    def agrees(
        self, question: Quantities, number: int, similarity: float, least: float, same_numbers_least: float | None
    ) -> bool:  # fmt: skip
        """Whether a similarity is above ``least``, or above the other bound with the same numbers, and no number contradicts."""
        entry = self.entries[number].meant
        if not self.config.same_template and contradict(question, entry):
            return False
        same_numbers = same_numbers_least is not None and similarity > same_numbers_least
        return similarity > least or (same_numbers and agreement(question, entry) >= self.config.min_shared_numbers)

    def _overlaps(self, question_words: Sequence[str]) -> Iterator[tuple[int, str, float]]:
        """The entries that share enough n-grams with the words: (number of the entry, method, share of n-grams)."""
        grams = frozenset(_ngrams(question_words, self.config.ngram))
        counts = Counter(number for gram in self.rare.keys() & grams for number in self.rare[gram])
        candidates = [number for number, count in counts.items() if count >= self.entries[number].sieve]
        stated = quantities(question_words) if candidates and not self.config.same_template else None
        for number in candidates:
            method, share = self._overlap(self.entries[number], grams, len(question_words) - 1)
            if method and not (stated and contradict(stated, self.entries[number].quantities)):
                yield number, method, share

    def _overlap(self, entry: _BenchmarkQuestion, grams: frozenset[tuple[str, ...]], n_words: int) -> tuple[str, float]:
        """The method by which n-grams match the entry, and the share of them; no method if too few are shared."""
        shared = len(entry.grams & grams)
        if self.config.min_overlap is not None and shared >= entry.needed:
            return "ngram", shared / len(entry.grams)
        least = self.config.min_contained
        # The first n-grams hold the role of the turn, which no benchmark question has.
        own = max(len(grams) - 1, 1)
        if least is not None and shared >= least * own and shared >= entry.fewest and n_words >= self.config.contained_words:
            return "contained", min(shared / own, 1.0)
        return "", 0.0


def index(benchmarks: Mapping[str, Sequence[Question]], config: Decontamination) -> BenchmarkIndex:
    """Index the benchmarks' questions; the mapping is by benchmark name."""
    entries = [_entry(name, question, config) for name, questions in benchmarks.items() for question in questions]
    exact: defaultdict[str, list[int]] = defaultdict(list)
    frequency: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for number, entry in enumerate(entries):
        for text in {" ".join(entry.words), " ".join(words(normalise(underlying(entry.text))))} - {""}:
            exact[text].append(number)
        for gram in entry.grams:
            frequency[gram] += 1
    rare: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, entry in enumerate(entries):
        # If `fewest` of n n-grams must be found, any n - fewest + k of them include at least k: index the rarest of them.
        n_indexed = len(entry.grams) - entry.fewest + entry.sieve if entry.grams and entry.fewest else 0
        for gram in sorted(entry.grams, key=lambda gram: (frequency[gram], gram))[:n_indexed]:
            rare[gram].append(number)
    unsigned: defaultdict[str, list[int]] = defaultdict(list)
    for number, entry in enumerate(entries):
        if len(entry.words) >= config.short_words:
            unsigned[_unsigned(entry.text)].append(number)
    return BenchmarkIndex(config, entries, dict(exact), dict(unsigned), dict(rare))


def _entry(benchmark: str, question: Question, config: Decontamination) -> _BenchmarkQuestion:
    text = user_text(question.messages)
    question_words = words(normalise(text))
    grams = frozenset(_ngrams(question_words, config.ngram))
    share = 1.0 if len(question_words) < config.short_words else config.min_overlap or 1.0
    needed = max(math.ceil(share * len(grams)), 1)
    fewest = [needed] if config.min_overlap is not None else []
    if config.min_contained is not None and len(question_words) >= config.contained_words:
        fewest.append(max(math.ceil(SMALLEST_PART * len(grams)), math.ceil(config.min_contained * _grams_of(config)), 1))
    return _BenchmarkQuestion(
        benchmark, question.question_id, text, question_words, grams, needed, min(fewest, default=0),
        quantities(question_words), quantities(words_with_english_numbers(text)),
    )  # fmt: skip


def _unsigned(text: str) -> str:
    """The letters and digits alone."""
    return re.sub(r"[\W_]+", "", normalise(text))


def _grams_of(config: Decontamination) -> int:
    """The n-grams of the shortest question that is looked for inside a benchmark question."""
    return max(config.contained_words - config.ngram + 1, 1)


def _ngrams(text_words: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """All n-grams of this size; a shorter text has none and can only match exactly."""
    return zip(*(text_words[start:] for start in range(size)), strict=False)


def underlying(text: str) -> str:
    """The question inside re-answer prompts of any number of rounds; any other text as it is."""
    while _REANSWER_END in text and (match := _REANSWER.fullmatch(text.strip())):
        text = match["question"]
    return text


def _turns(normalised: NormalisedQuestion) -> set[str]:
    """The joined words of every text in the conversation that may be the question; empty texts would match each other."""
    messages = normalised.question.messages
    if len(messages) == 1 and _REANSWER_END not in messages[0]["content"]:
        return {" ".join(normalised.words[1:])} - {""}  # the first word is the role
    return {" ".join(words(normalise(text))) for text in _texts(messages)} - {""}


def _texts(messages: Sequence[Message]) -> list[str]:
    turns = [underlying(message["content"]) for message in messages if message["role"] == "user"]
    return [*turns, "\n".join(turns)]
