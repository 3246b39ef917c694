"""``difficulty.json``: the record of how hard the graded questions are, for summaries and pages."""

from typing import ClassVar, Literal

from stillhouse.artifacts.records import VersionedRecord


class DifficultyRecord(VersionedRecord):
    """Counts of graded questions; those of shards add up."""

    FILE: ClassVar[str] = "difficulty.json"

    version: Literal[1] = 1
    pass_rates: dict[str, dict[str, int]]
    """Model -> pass rate, by its bin's name -> questions."""
    levels: dict[str, int]
    """``1``, ``2``, ``3``, or ``none`` for a question without a level -> questions that some model solved."""


def added(records: list[DifficultyRecord]) -> DifficultyRecord:
    """The record of all shards."""
    pass_rates: dict[str, dict[str, int]] = {}
    levels: dict[str, int] = {}
    for record in records:
        for level, count in record.levels.items():
            levels[level] = levels.get(level, 0) + count
        for model, counts in record.pass_rates.items():
            sums = pass_rates.setdefault(model, {})
            for rate, count in counts.items():
                sums[rate] = sums.get(rate, 0) + count
    return DifficultyRecord(pass_rates=pass_rates, levels=levels)
