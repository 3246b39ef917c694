"""The first pass: every row of the sources is read and judged on its own; what passes is put aside in the pool."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stillhouse.artifacts.shards import Shard
from stillhouse.curation.contamination import Exams
from stillhouse.curation.drops import Ledger
from stillhouse.curation.filters import Filters, broken
from stillhouse.curation.normalised import Reading
from stillhouse.curation.spool import Pool
from stillhouse.vocabulary.rows import Dropped, Question

PROGRESS_EVERY = 500


@dataclass(frozen=True)
class Intake:
    """What the first pass works with."""

    read: Callable[[Question], Reading]
    filters: Filters
    exams: Exams
    shard: Shard
    whole: bool
    """Whether questions of other shards are put aside too, because deciding needs to see them."""
    pool: Pool
    ledger: Ledger

    def take(self, row: Question | Dropped) -> None:
        """Judge one row. A question belongs to the shard of its normalised prompt, so that equal ones are in one shard."""
        if isinstance(row, Dropped):
            if self.shard.holds(row.key):
                self.ledger.refuse(row)
            return
        reading = self.read(row)
        owned = self.shard.holds(reading.prompt)
        if not (owned or self.whole):
            return
        reason = broken(reading, self.filters) or self._contaminated(reading, owned=owned)
        if owned:
            self.ledger.read[row.source or "none"] += 1
            if reason:
                self.ledger.drop_question(reading.question, *reason)
        if reason is None:
            self.pool.add(reading, owned=owned)

    def _contaminated(self, reading: Reading, *, owned: bool) -> tuple[str, str] | None:
        found = self.exams.matches(reading)
        for match in found if owned else ():
            self.ledger.note(match)
        return next((("contaminated", match.summary) for match in found if not match.allowed), None)


def take_all(
    intake: Intake, stream: Iterator[Question | Dropped], total: int, progress: Callable[[float, float, str], None]
) -> None:
    """Take the whole stream, of about ``total`` rows."""
    done = 0
    for done, row in enumerate(stream, start=1):
        intake.take(row)
        if done % PROGRESS_EVERY == 0:
            progress(done, max(done, total), "questions")
    progress(done, max(done, total), "questions")
    intake.pool.close()
