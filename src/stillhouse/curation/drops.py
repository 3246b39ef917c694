"""Count what was read, dropped, or matched to a benchmark, and write those rows as they come."""

from collections import Counter
from pathlib import Path

from stillhouse.artifacts.tables import Parts
from stillhouse.curation.contamination import Match
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.rows import Dropped, Question

DUPLICATES = ("duplicate", "near_duplicate", "semantic_duplicate", "conflict")
"""Reasons of questions that another one stands for."""


class Drops:
    """Counts and writes the drops of one run; only rows of the run's own shard."""

    def __init__(self, output: Path) -> None:
        self.read: Counter[str] = Counter()
        """Questions by source."""
        self.n_refused = 0
        """Rows that sources dropped."""
        self.dropped: Counter[str] = Counter()
        """Rows by reason."""
        self.pairs = Parts(output / "contamination", Match, "pairs")
        """The evidence of contamination."""
        self.duplicates: Counter[str] = Counter()
        """Questions dropped as duplicates, by source."""
        self.counts: Counter[str] = Counter()
        """Further counts, by metric name."""
        self._rows = Parts(output / "dropped", Dropped)

    def start_from(self, read: Counter[str], dropped: Counter[str], n_refused: int) -> None:
        """Begin with the counts of another run, whose rows are already written."""
        self.read.update(read)
        self.dropped.update(dropped)
        self.n_refused += n_refused

    def add_refused(self, row: Dropped) -> None:
        """Add a row that its source dropped."""
        self.n_refused += 1
        self._add(row)

    def add_question(self, question: Question, reason: str, detail: str) -> None:
        """Add a question that is not passed on."""
        if reason in DUPLICATES:
            self.duplicates[question.source or "none"] += 1
        self._add(rows.dropped(question, reason, detail))

    @property
    def n_read(self) -> int:
        """All rows read, including those that sources dropped."""
        return self.read.total() + self.n_refused

    def add_match(self, match: Match) -> None:
        """Add a question that matches a benchmark question."""
        self.pairs.add(match)

    def close(self) -> None:
        """Write the remaining rows."""
        self._rows.flush()
        self.pairs.flush()

    def _add(self, row: Dropped) -> None:
        self.dropped[row.reason] += 1
        self._rows.add(row)
