"""What was read and dropped, and what benchmarks ask too: counts, and the rows themselves, written as they come."""

from collections import Counter
from pathlib import Path

from stillhouse import rows
from stillhouse.curation.contamination import Match
from stillhouse.curation.parts import Parts
from stillhouse.errors import TooManyErrors
from stillhouse.rows import Dropped, Question

BAD = "bad_"
"""What the reasons of rows that a source could not read begin with."""


class Ledger:
    """The books of one run. Only rows of the run's own shard are entered."""

    def __init__(self, output: Path) -> None:
        self.read: Counter[str] = Counter()
        """Questions by source."""
        self.refused = 0
        """Rows that sources dropped themselves."""
        self.dropped: Counter[str] = Counter()
        """Rows by reason."""
        self.pairs = Parts(output / "contamination", Match, "pairs")
        """The evidence on contamination."""
        self._rows = Parts(output / "dropped", Dropped)

    def drop(self, row: Dropped) -> None:
        """Enter a dropped row."""
        self.dropped[row.reason] += 1
        self._rows.add(row, len(row.row))

    def drop_question(self, question: Question, reason: str, detail: str) -> None:
        """Enter a question that is not passed on."""
        self.drop(rows.dropped(question, reason, detail))

    @property
    def n_read(self) -> int:
        """All rows."""
        return self.read.total() + self.refused

    def note(self, match: Match) -> None:
        """Enter a pair of questions that were taken for one."""
        self.pairs.add(match, len(match.question) + len(match.benchmark_question))

    def refuse_bad(self, max_rate: float) -> None:
        """Raise TooManyErrors where more of the rows could not be read than the ceiling allows."""
        bad = {reason: count for reason, count in self.dropped.items() if reason.startswith(BAD)}
        n_bad = sum(bad.values())
        if n_bad > max_rate * self.n_read:
            said = ", ".join(f"{reason} {count}" for reason, count in sorted(bad.items()))
            found = f"{n_bad} of {self.n_read} rows could not be read ({said})"
            msg = f"{found}, max_bad_rate is {max_rate:g}; mend the source, or raise it"
            raise TooManyErrors(msg)

    def close(self) -> None:
        """Write what is left to write."""
        self._rows.flush()
        self.pairs.flush()
