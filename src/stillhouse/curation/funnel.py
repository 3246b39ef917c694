"""Count what the questions consist of. Names begin with ``n_``, so that the counts of shards add up."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from stillhouse.curation.config import QuestionsConfig
from stillhouse.curation.drops import Drops
from stillhouse.curation.duplicates import REASONS
from stillhouse.curation.filters import RULES, rules_off

FUNNEL = (*RULES, "contaminated", *REASONS[1:3], *REASONS[4:], "incomplete_by_model", "downsampled")
"""Reasons in the order in which questions are dropped; those of sources come before."""

COUNTED_COLUMNS = {"kept": "source", "category": "category", "language": "language", "difficulty": "difficulty_label"}
"""Name in metrics -> the column it counts."""


@dataclass
class KeptCounts:
    """Kept questions, counted by source, category, language, difficulty and length."""

    n_kept: int = 0
    by_column: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in COUNTED_COLUMNS})
    """Name of ``COUNTED_COLUMNS`` -> value -> questions; ``none`` stands for no value."""
    by_length: Counter[int] = field(default_factory=Counter)
    """Length bucket -> questions; the bucket 64 holds 33 to 64 tokens."""
    labels: Counter[str] = field(default_factory=Counter)
    """What labelling counts, by metric name."""

    def add(self, table: pa.Table) -> None:
        """Count the questions of a table."""
        self.n_kept += table.num_rows
        for name, column in COUNTED_COLUMNS.items():
            for value in table[column].value_counts().to_pylist():
                self.by_column[name][value["values"] or "none"] += value["counts"]
        self.by_length.update(map(length_bucket, table["n_tokens"].to_pylist()))

    def metrics(self) -> Counter[str]:
        """The counts by metric name, ``n_category/math`` or ``n_length/le_000064``."""
        counts = Counter(n_kept=self.n_kept) + self.labels
        for name, values in self.by_column.items():
            for value, count in values.items():
                counts[f"n_{name}/{metric(value)}"] += count
        counts.update({f"n_length/le_{bucket:06d}": count for bucket, count in self.by_length.items()})
        return counts


def metrics(drops: Drops, kept: KeptCounts) -> dict[str, float]:
    """All counts as metrics."""
    by_source = {f"n_kept/{metric(name)}": 0.0 for name in sorted(drops.read)}
    by_source |= {f"n_duplicates/{metric(name)}": float(drops.duplicates[name]) for name in sorted(drops.read | drops.duplicates)}
    counts = {name: float(count) for name, count in sorted(kept.metrics().items())}
    left = {f"n_left/{metric(reason)}": float(count) for reason, count in questions_left(drops.n_read, drops.dropped).items()}
    further = {name: float(count) for name, count in sorted(drops.counts.items())}
    return {"n_read": float(drops.n_read), **by_source, **counts, **left, **further}


def length_bucket(n_tokens: int) -> int:
    """The smallest power of two that is at least ``n_tokens``; 1 for an empty text."""
    return int(1 << max(n_tokens - 1, 0).bit_length())


def questions_left(n_read: int, dropped: Mapping[str, int]) -> dict[str, int]:
    """Rule -> how many questions were left after it, in the order of the rules, starting from those read."""
    left, steps = n_read, {}
    for reason in ordered(dropped):
        left -= dropped.get(reason, 0)
        steps[reason] = left
    return steps


def steps_off(config: QuestionsConfig) -> set[str]:
    """The reasons of ``FUNNEL`` for which this config cannot drop a question."""
    unset = {
        "contaminated": not config.decontaminate, "near_duplicate": config.near_duplicates is None,
        "semantic_duplicate": config.semantic_duplicates is None, "surplus": config.max_questions is None,
        "incomplete_by_model": config.labels is None or "completeness" not in config.labels.asked,
        "downsampled": not config.downsample,
    }  # fmt: skip
    return rules_off(config.filters) | {name for name, is_unset in unset.items() if is_unset}


def ordered(dropped: Iterable[str]) -> list[str]:
    """The reasons in the order of the funnel, those of sources first."""
    return [*sorted(set(dropped) - set(FUNNEL)), *FUNNEL]


def metric(name: str) -> str:
    """The name with characters replaced that MLflow refuses in metric names."""
    return re.sub(r"[^A-Za-z0-9_ .-]", "_", name)
