"""Outcomes of two reports -> the paired difference on every benchmark and round that both measured under one protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from stillhouse.artifacts.records import VersionedRecord
from stillhouse.benchmarks.intervals import Interval, paired_difference
from stillhouse.benchmarks.outcomes import Outcomes, RoundOutcome
from stillhouse.vocabulary import metric_names

COMPARISON = "comparison.json"


@dataclass(frozen=True)
class PairedDifference:
    """pass@1 of ours minus theirs on one benchmark in one round, on the questions that both have."""

    benchmark: str
    number: int
    """Of the round, from 1."""
    interval: Interval

    @property
    def name(self) -> str:
        """``BENCHMARK/round_N``, as metrics and tags are named."""
        return f"{self.benchmark}/round_{self.number}"


class ComparisonRecord(VersionedRecord):
    """``comparison.json``: the differences of several reports to one of them."""

    FILE: ClassVar[str] = COMPARISON

    version: Literal[1] = 1
    against: str
    """Label of the report that the others are compared with."""
    differences: dict[str, list[PairedDifference]]
    """By label of the other reports; empty for one that shares no protocol with the first."""

    def metrics(self) -> dict[str, float]:
        """``ROLE/BENCHMARK/round_N/{mean,low,high}`` -> value, for MLflow: the roles are what tells the labels apart."""
        labels = [self.against, *self.differences]
        roles = dict(zip(labels, metric_names.roles(labels), strict=True))
        return {
            f"{roles[label]}/{difference.name}/{end}": value
            for label, differences in self.differences.items()
            for difference in differences
            for end, value in (
                ("mean", difference.interval.mean), ("low", difference.interval.low), ("high", difference.interval.high)
            )
        }  # fmt: skip


def differences(ours: Outcomes, theirs: Outcomes) -> list[PairedDifference]:
    """The paired differences, by name of the benchmark and number of the round; other protocols are left out."""
    paired = []
    for name in sorted(ours.benchmarks.keys() & theirs.benchmarks.keys()):
        a, b = ours.benchmarks[name], theirs.benchmarks[name]
        if a.protocol != b.protocol:
            continue
        for number in sorted(a.rounds.keys() & b.rounds.keys()):
            if interval := _interval(a.rounds[number], b.rounds[number]):
                paired.append(PairedDifference(name, number, interval))
    return paired


def _interval(ours: RoundOutcome, theirs: RoundOutcome) -> Interval | None:
    """The difference on the shared questions; None without any."""
    shared: Sequence[str] = sorted(ours.passed.keys() & theirs.passed.keys())
    if not shared:
        return None
    return paired_difference([ours.passed[question] for question in shared], [theirs.passed[question] for question in shared])
