"""Reports of several seeds -> Markdown: pass@1 of every checkpoint, and what each gained on another, in paired intervals."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stillhouse.artifacts.store import join, store_of
from stillhouse.benchmarks.paired import OutcomesByName, differences
from stillhouse.stages.report import OUTCOMES

Seeds = Mapping[int, Mapping[str, OutcomesByName]]
"""Seed -> checkpoint -> what its report wrote down; of one benchmark, in one round."""
Pairs = Mapping[str, tuple[str, str]]
"""Title -> two checkpoints, the first of which is held against the second."""


def outcomes(report: str) -> OutcomesByName:
    """What the report at a URI wrote down."""
    return dict(json.loads(store_of(report).read(join(report, OUTCOMES)) or b"{}"))


def scores(seeds: Seeds, checkpoints: Sequence[str]) -> str:
    """pass@1: a line to each checkpoint, a column to each seed."""
    lines = [[name, *(f"{_score(measured[name]):.3f}" for measured in seeds.values())] for name in checkpoints]
    return _table(["checkpoint", *(f"seed {seed}" for seed in seeds)], lines)


def gains(seeds: Seeds, pairs: Pairs) -> str:
    """Differences in points with their intervals; the last column has all seeds' samples to a question. ○: the interval holds 0."""
    columns = [*seeds.values(), _pooled(seeds.values())]
    lines = [[title, *(_difference(each[ours], each[theirs]) for each in columns)] for title, (ours, theirs) in pairs.items()]
    return _table(["", *(f"seed {seed}" for seed in seeds), "all seeds"], lines)


def chart(seeds: Seeds, checkpoints: Sequence[str]) -> str:
    """pass@1 along the checkpoints, one line to a seed, in Mermaid, which code hosts draw."""
    lines = [f"  line [{', '.join(f'{_score(measured[name]):.3f}' for name in checkpoints)}]" for measured in seeds.values()]
    axes = [f"  x-axis [{', '.join(checkpoints)}]", '  y-axis "held-out pass@1" 0 --> 1']
    return "\n".join(["```mermaid", "xychart-beta", *axes, *lines, "```\n"])


def _score(measured: OutcomesByName) -> float:
    (only,) = measured.values()
    return float(only["scores"]["1"]["pass_at_1"]["mean"])


def _difference(ours: OutcomesByName, theirs: OutcomesByName) -> str:
    """``+4.1 (+2.0 to +6.2)``."""
    (found,) = differences(ours, theirs).values()
    mark = " ○" if found.low <= 0 <= found.high else ""
    return f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f}){mark}"


def _pooled(every: Iterable[Mapping[str, OutcomesByName]]) -> dict[str, OutcomesByName]:
    """All seeds as one."""
    pooled: dict[str, Any] = {}
    for measured in every:
        for checkpoint, benchmarks in measured.items():
            for name, each in benchmarks.items():
                into = pooled.setdefault(checkpoint, {}).setdefault(name, {"protocol": each["protocol"], "rounds": {"1": {}}})
                for question, samples in each["rounds"]["1"].items():
                    into["rounds"]["1"].setdefault(question, []).extend(samples)
    return pooled


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, ["---"] * len(head), *lines))
