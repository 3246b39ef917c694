"""The first pass: read every row of the sources, judge it on its own, and put what passes into the spool."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stillhouse.curation.config import Filters
from stillhouse.curation.contamination import BenchmarkIndex
from stillhouse.curation.drops import Drops
from stillhouse.curation.filters import broken_rule
from stillhouse.curation.normalised import NormalisedQuestion
from stillhouse.curation.question_spool import QuestionSpool
from stillhouse.vocabulary.rows import Dropped, Question
from stillhouse.vocabulary.shards import Shard

PROGRESS_EVERY = 500


@dataclass(frozen=True)
class FirstPass:
    """What the first pass works with."""

    normalise: Callable[[Question], NormalisedQuestion]
    filters: Filters
    benchmark_index: BenchmarkIndex
    shard: Shard
    sees_all: bool
    """Whether questions of other shards are spooled too, because deciding on this shard requires them."""
    spool: QuestionSpool
    drops: Drops

    def take(self, row: Question | Dropped) -> None:
        """Judge one row. The normalised prompt decides a question's shard, so that equal questions share a shard."""
        if isinstance(row, Dropped):
            if self.shard.holds(row.key):
                self.drops.add_refused(row)
            return
        normalised = self.normalise(row)
        owned = self.shard.holds(normalised.prompt)
        if not (owned or self.sees_all):
            return
        reason = broken_rule(normalised, self.filters) or self._contaminated(normalised, owned=owned)
        if owned:
            self.drops.read[row.source or "none"] += 1
            if reason:
                self.drops.add_question(normalised.question, *reason)
        if reason is None:
            self.spool.add(normalised, owned=owned)

    def _contaminated(self, normalised: NormalisedQuestion, *, owned: bool) -> tuple[str, str] | None:
        matches = self.benchmark_index.matches(normalised)
        for match in matches if owned else ():
            self.drops.add_match(match)
        return next((("contaminated", match.summary) for match in matches if not match.allowed), None)


def take_all(
    first_pass: FirstPass, stream: Iterator[Question | Dropped], total: int, progress: Callable[[float, float, str], None]
) -> None:
    """Take the whole stream of about ``total`` rows, and close the spool."""
    n_taken = 0
    for n_taken, row in enumerate(stream, start=1):
        first_pass.take(row)
        if n_taken % PROGRESS_EVERY == 0:
            progress(n_taken, max(n_taken, total), "questions")
    progress(n_taken, max(n_taken, total), "questions")
    first_pass.spool.close()
