"""Questions that a benchmark asks too, with the evidence: both texts, the method and the score.

DeepDistill §2.2 compares with AIME 2024 by exact and near matches and by embeddings; it describes no n-grams. Methods:

- ``exact``: a user turn, or all of them, has the same words. Case, punctuation and re-answer prompts make no difference.
- ``ngram``: the share of the benchmark question's runs of words that the question has too. Runs are short and half of them suffice,
  so that a question with every seventh word changed is found; a short question must be there in full.
- ``embedding``: cosine similarity, see ``curation.embedding``.

Two questions made from one template with other numbers are not taken for one another (``words.contradict``).
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from stillhouse.curation.normalised import Reading, asked
from stillhouse.curation.words import contradict, words
from stillhouse.vocabulary.ids import normalise
from stillhouse.vocabulary.prompts import previous_answer_prompt
from stillhouse.vocabulary.rows import Message, Question
from stillhouse.vocabulary.settings import StageConfig

# The re-answer prompt, whatever its sentence is, with the question and the answer as groups.
_REANSWER = re.compile(
    re.escape(previous_answer_prompt("QUESTION", "ANSWER")).replace("QUESTION", "(?P<question>.+)").replace("ANSWER", ".*?"),
    flags=re.DOTALL,
)
_REANSWER_END = previous_answer_prompt("", "").rpartition(">")[2]


class Decontamination(StageConfig):
    """How much alike a question and a benchmark's must be, and which pairs a person found to be different questions."""

    ngram: int = Field(3, ge=2, le=13)
    """Words to a run; the papers describe no n-grams. open-r1 takes 8, which every seventh word changed defeats."""
    min_overlap: float | None = Field(0.5, gt=0, le=1)
    """Share of the benchmark question's runs that must be there; null turns the method off. Every seventh word changed leaves 4 of
    7 runs of three."""
    short_words: int = Field(8, ge=1)
    """A benchmark question of fewer words must be there in full: short questions share most of their words by chance."""
    min_similarity: float | None = Field(None, gt=0, le=1)
    """Cosine similarity of embeddings above which a question is taken for the benchmark's (DeepDistill §2.2: 0.9, with bge-m3);
    null, the default, embeds nothing."""
    same_template: bool = False
    """Take questions made from one template with other numbers for one another."""
    allowed: tuple[str, ...] = ()
    """Questions kept nonetheless: QUESTION_ID, or BENCHMARK/QUESTION_ID for one benchmark alone. The evidence lists them still."""


@dataclass(frozen=True, slots=True)
class Match:
    """One question and the benchmark's question that it was taken for."""

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
class _Entry:
    """One question of a benchmark; ``grams`` are its runs of words, of which ``needed`` make a match."""

    benchmark: str
    question_id: str
    text: str
    words: list[str]
    grams: frozenset[tuple[str, ...]]
    needed: int

    @property
    def sieve(self) -> int:
        """How many of the runs that are looked up must be there before all are compared."""
        return -(-self.needed // 4)


@dataclass(frozen=True)
class Exams:
    """The questions of all benchmarks to keep out, indexed."""

    config: Decontamination
    entries: list[_Entry]
    exact: Mapping[str, list[int]]
    """The words of a turn, joined -> places in ``entries``."""
    rare: Mapping[tuple[str, ...], list[int]]
    """Run of words -> places in ``entries``: of each so many of its rarest runs that a match has ``sieve`` of them."""

    def matches(self, reading: Reading) -> list[Match]:
        """The benchmark questions that the question's words match."""
        if not self.entries:
            return []
        scored = {place: ("exact", 1.0) for text in _turns(reading) for place in self.exact.get(text, ())}
        for place, overlap in self._overlaps(reading.words):
            scored.setdefault(place, ("ngram", overlap))
        return [self.match(reading.question, place, method, score) for place, (method, score) in sorted(scored.items())]

    def match(self, question: Question, place: int, method: str, score: float) -> Match:
        """The evidence on one pair."""
        entry = self.entries[place]
        allowed = not {question.question_id, f"{entry.benchmark}/{question.question_id}"}.isdisjoint(self.config.allowed)
        return Match(
            question.question_id, entry.benchmark, entry.question_id, method, score, allowed, asked(question.messages), entry.text
        )

    def one_template(self, found: Sequence[str], place: int) -> bool:
        """Whether the words differ from the benchmark question's in numbers or operators, and that keeps the two apart."""
        return not self.config.same_template and contradict(found, self.entries[place].words)

    def _overlaps(self, found: Sequence[str]) -> Iterator[tuple[int, float]]:
        """Places of benchmark questions of which enough runs are among the words, with the share that is."""
        hits = self.rare.keys() & _runs(found, self.config.ngram)
        counts = Counter(place for run in hits for place in self.rare[run])
        for place in (place for place, count in counts.items() if count >= self.entries[place].sieve):
            entry = self.entries[place]
            shared = len(entry.grams.intersection(_runs(found, self.config.ngram)))
            if shared >= entry.needed and not self.one_template(found, place):
                yield place, shared / len(entry.grams)


def index(benchmarks: Mapping[str, Sequence[Question]], config: Decontamination) -> Exams:
    """Index the benchmarks' questions, by name."""
    entries = [_entry(name, question, config) for name, asked_there in benchmarks.items() for question in asked_there]
    exact: defaultdict[str, list[int]] = defaultdict(list)
    frequency: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for place, entry in enumerate(entries):
        for text in {" ".join(entry.words), " ".join(words(normalise(underlying(entry.text))))} - {""}:
            exact[text].append(place)
        for gram in entry.grams:
            frequency[gram] += 1
    rare: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, entry in enumerate(entries):
        # Where `needed` of n runs must be there, at least k of any n - needed + k are: the rarest are looked up.
        looked_up = len(entry.grams) - entry.needed + entry.sieve if config.min_overlap and entry.grams else 0
        for gram in sorted(entry.grams, key=lambda gram: (frequency[gram], gram))[:looked_up]:
            rare[gram].append(place)
    return Exams(config, entries, dict(exact), dict(rare))


def _entry(benchmark: str, question: Question, config: Decontamination) -> _Entry:
    text = asked(question.messages)
    found = words(normalise(text))
    grams = frozenset(_runs(found, config.ngram))
    share = 1.0 if len(found) < config.short_words else config.min_overlap or 1.0
    return _Entry(benchmark, question.question_id, text, found, grams, max(math.ceil(share * len(grams)), 1))


def _runs(found: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """All runs of so many words; none of a shorter text, which only an exact match finds."""
    return zip(*(found[start:] for start in range(size)), strict=False)


def underlying(text: str) -> str:
    """The question below a re-answer prompt of any number of rounds; the text itself where it is none."""
    while _REANSWER_END in text and (found := _REANSWER.fullmatch(text.strip())):
        text = found["question"]
    return text


def _turns(reading: Reading) -> set[str]:
    """The words of all texts of a conversation that may be a question; empty ones, which would match each other, left out."""
    messages = reading.question.messages
    if len(messages) == 1 and _REANSWER_END not in messages[0]["content"]:
        return {" ".join(reading.words[1:])} - {""}  # the first word is the role
    return {" ".join(words(normalise(text))) for text in _texts(messages)} - {""}


def _texts(messages: Sequence[Message]) -> list[str]:
    turns = [underlying(message["content"]) for message in messages if message["role"] == "user"]
    return [*turns, "\n".join(turns)]
