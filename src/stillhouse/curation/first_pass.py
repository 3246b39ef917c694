"""The first pass: judge every row of the sources on its own, in all cores, and put what passes into the spool."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from stillhouse.curation.config import Filters
from stillhouse.curation.contamination import BenchmarkIndex, Match
from stillhouse.curation.drops import Drops
from stillhouse.curation.filters import broken_rule
from stillhouse.curation.normalised import NormalisedQuestion, normaliser
from stillhouse.curation.question_spool import QuestionSpool
from stillhouse.execution.row_pool import mapped
from stillhouse.vocabulary.rows import Dropped, Question

BATCH = 512
"""Rows that one process judges at a time."""
Placed = tuple[int, Question | Dropped]
"""A row with its number in the stream."""


@dataclass(frozen=True)
class Judged:
    """What the rules say of one question."""

    position: int
    """Its number in the stream."""
    normalised: NormalisedQuestion
    reason: tuple[str, str] | None
    """Why it is dropped, as reason and detail; None if it passes."""
    matches: Sequence[Match]
    """The benchmark questions that it matches."""


@dataclass(frozen=True)
class Rules:
    """What decides on a single question."""

    tokenizer: str | None
    filters: Filters
    benchmark_index: BenchmarkIndex

    def judge(self, normalise: Callable[[Question], NormalisedQuestion], position: int, row: Question) -> Judged:
        """Apply the rules to one question."""
        normalised = normalise(row)
        if reason := broken_rule(normalised, self.filters):
            return Judged(position, normalised, reason, ())
        matches = self.benchmark_index.matches(normalised)
        contaminated = next((("contaminated", match.summary) for match in matches if not match.allowed), None)
        return Judged(position, normalised, contaminated, matches)


def _judge_of(rules: Rules) -> Callable[[Sequence[Placed]], list[Judged | Dropped]]:
    """A function that judges a batch; each process makes its own, as a tokenizer is not sent between processes."""
    normalise = normaliser(rules.tokenizer)

    def judge(batch: Sequence[Placed]) -> list[Judged | Dropped]:
        return [row if isinstance(row, Dropped) else rules.judge(normalise, position, row) for position, row in batch]

    return judge


def take_all(
    rules: Rules, stream: Iterable[Question | Dropped | None], spool: QuestionSpool, drops: Drops, total: int,
    progress: Callable[[float, float, str], None],
) -> None:  # fmt: skip
    """Take the whole stream of about ``total`` rows, and close the spool. Rows of other shards are None."""
    n_taken = 0

    def mine() -> Iterator[Placed]:
        nonlocal n_taken
        for n_taken, row in enumerate(stream, start=1):
            if row is not None:
                yield n_taken - 1, row

    placed = mine()
    for batch in mapped(partial(_judge_of, rules), iter(lambda: list(islice(placed, BATCH)), [])):
        for judged in batch:
            _take(judged, spool, drops)
        progress(n_taken, max(n_taken, total), "questions")
    progress(n_taken, max(n_taken, total), "questions")
    spool.close()


def _take(judged: Judged | Dropped, spool: QuestionSpool, drops: Drops) -> None:
    if isinstance(judged, Dropped):
        drops.add_refused(judged)
        return
    question = judged.normalised.question
    drops.read[question.source or "none"] += 1
    for match in judged.matches:
        drops.add_match(match)
    if judged.reason:
        drops.add_question(question, *judged.reason)
    else:
        spool.add(judged.normalised, position=judged.position)
