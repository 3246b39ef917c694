"""What was read and dropped, and what benchmarks ask too: counts, and the rows themselves, written as they come."""

from collections import Counter
from pathlib import Path

from stillhouse.artifacts.tables import Parts
from stillhouse.curation.contamination import Match
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.rows import Dropped, Question


class Ledger:
    """The books of one run. Only rows of the run's own shard are entered."""

    def __init__(self, output: Path) -> None:
        self.read: Counter[str] = Counter()
        """Questions by source."""
        self._refused = 0
        self.dropped: Counter[str] = Counter()
        """Rows by reason."""
        self.pairs = Parts(output / "contamination", Match, "pairs")
        """The evidence on contamination."""
        self._rows = Parts(output / "dropped", Dropped)

    def refuse(self, row: Dropped) -> None:
        """Enter a row that its source dropped."""
        self._refused += 1
        self._drop(row)

    def drop_question(self, question: Question, reason: str, detail: str) -> None:
        """Enter a question that is not passed on."""
        self._drop(rows.dropped(question, reason, detail))

    @property
    def n_read(self) -> int:
        """All rows, those that sources refused among them."""
        return self.read.total() + self._refused

    def note(self, match: Match) -> None:
        """Enter a pair of questions that were taken for one."""
        self.pairs.add(match)

    def close(self) -> None:
        """Write what is left to write."""
        self._rows.flush()
        self.pairs.flush()

    def _drop(self, row: Dropped) -> None:
        self.dropped[row.reason] += 1
        self._rows.add(row)
