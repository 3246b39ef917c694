"""Count what the questions consist of. Names begin with ``n_``, so that the counts of shards add up."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

import pyarrow as pa

from stillhouse.curation.drops import Drops
from stillhouse.curation.duplicates import REASONS
from stillhouse.curation.filters import RULES

FUNNEL = (*RULES, "contaminated", *REASONS[1:3], *REASONS[4:], "incomplete_by_model", "downsampled")
"""Reasons in the order in which questions are dropped; those of sources come before."""

COUNTED_COLUMNS = {"kept": "source", "category": "category", "language": "language", "difficulty": "difficulty_label"}
"""Name in metrics -> the column it counts."""


def composition(table: pa.Table) -> Counter[str]:
    """Questions by category, source, language, difficulty and length; the length bucket ``le_64`` holds 33 to 64 tokens."""
    counts = Counter(n_kept=table.num_rows)
    for name, column in COUNTED_COLUMNS.items():
        for value in table[column].value_counts().to_pylist():
            counts[f"n_{name}/{metric(value['values'] or 'none')}"] += value["counts"]
    for n_tokens in table["n_tokens"].to_pylist():
        counts[f"n_length/le_{length_bucket(n_tokens):06d}"] += 1
    return counts


def metrics(drops: Drops, kept: Mapping[str, int]) -> dict[str, float]:
    """All counts as metrics; ``kept`` are the counts of ``composition``."""
    by_source = {f"n_kept/{metric(name)}": 0.0 for name in sorted(drops.read)}
    counts = {name: float(kept[name]) for name in sorted(kept)}
    return {"n_read": float(drops.n_read), **by_source, **counts, **funnel(drops.n_read, drops.dropped)}


def length_bucket(n_tokens: int) -> int:
    """The smallest power of two that is at least ``n_tokens``; 1 for an empty text."""
    return int(1 << max(n_tokens - 1, 0).bit_length())


def funnel(n_read: int, dropped: Mapping[str, int]) -> dict[str, float]:
    """``n_left/RULE``: how many questions were left after each rule, in order, starting from those read."""
    left, steps = n_read, {}
    for reason in ordered(dropped):
        left -= dropped.get(reason, 0)
        steps[f"n_left/{metric(reason)}"] = float(left)
    return steps


def ordered(dropped: Iterable[str]) -> list[str]:
    """The reasons in the order of the funnel, those of sources first."""
    return [*sorted(set(dropped) - set(FUNNEL)), *FUNNEL]


def metric(name: str) -> str:
    """The name with characters replaced that MLflow refuses in metric names."""
    return re.sub(r"[^A-Za-z0-9_ .-]", "_", name)
