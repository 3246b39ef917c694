"""Outcomes of two reports -> the paired difference of every benchmark and round that both measured under one protocol."""

from collections.abc import Mapping
from typing import Any

from stillhouse.benchmarks.intervals import Interval, paired_difference

OutcomesByName = Mapping[str, Any]
"""What a report's ``outcomes.json`` holds: benchmark -> protocol, and by round and question which samples passed."""


def differences(ours: OutcomesByName, theirs: OutcomesByName) -> dict[str, Interval]:
    """``BENCHMARK/round_N`` -> pass@1 of ours minus theirs, on the questions that both have."""
    found = {}
    for name in sorted(ours.keys() & theirs.keys()):
        a, b = ours[name], theirs[name]
        if a["protocol"] != b["protocol"]:
            continue
        for number in sorted(a["rounds"].keys() & b["rounds"].keys(), key=int):
            mine, other = a["rounds"][number], b["rounds"][number]
            shared = sorted(mine.keys() & other.keys())
            if shared:
                interval = paired_difference([mine[each] for each in shared], [other[each] for each in shared])
                found[f"{name}/round_{number}"] = interval
    return found
