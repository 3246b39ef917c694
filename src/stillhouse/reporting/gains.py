"""Reports of several seeds -> Markdown: pass@1 of every checkpoint, and what each gained on another, in paired intervals."""

from collections.abc import Iterable, Mapping, Sequence

from stillhouse.benchmarks.outcomes import BenchmarkOutcome, Outcomes, RoundOutcome, read_outcomes
from stillhouse.benchmarks.paired import differences

Seeds = Mapping[int, Mapping[str, Outcomes]]
"""Seed -> checkpoint -> its report's outcomes; one benchmark and one round each."""
Pairs = Mapping[str, tuple[str, str]]
"""Title -> two checkpoints; the first is compared with the second."""


def outcomes(report: str) -> Outcomes:
    """What the report at a URI measured."""
    return read_outcomes(report)


def scores(seeds: Seeds, checkpoints: Sequence[str]) -> str:
    """pass@1: one line per checkpoint, one column per seed."""
    lines = [[name, *(f"{_pass_at_1(reports[name]):.3f}" for reports in seeds.values())] for name in checkpoints]
    return _table(["checkpoint", *(f"seed {seed}" for seed in seeds)], lines)


def gains(seeds: Seeds, pairs: Pairs) -> str:
    """Differences in points with their intervals; the last column pools all seeds' samples by question. ○: the interval holds 0."""
    columns = [*seeds.values(), _pooled(seeds.values())]
    lines = [
        [title, *(_difference(reports[ours], reports[theirs]) for reports in columns)] for title, (ours, theirs) in pairs.items()
    ]
    return _table(["", *(f"seed {seed}" for seed in seeds), "all seeds"], lines)


def chart(seeds: Seeds, checkpoints: Sequence[str]) -> str:
    """pass@1 along the checkpoints, one line per seed, as a Mermaid chart, which code hosts draw."""
    lines = [f"  line [{', '.join(f'{_pass_at_1(reports[name]):.3f}' for name in checkpoints)}]" for reports in seeds.values()]
    axes = [f"  x-axis [{', '.join(checkpoints)}]", '  y-axis "held-out pass@1" 0 --> 1']
    return "\n".join(["```mermaid", "xychart-beta", *axes, *lines, "```\n"])


def _pass_at_1(report: Outcomes) -> float:
    (outcome,) = report.benchmarks.values()
    return outcome.rounds[1].pass_at_1.mean


def _difference(ours: Outcomes, theirs: Outcomes) -> str:
    """``+4.1 (+2.0 to +6.2)``."""
    (difference,) = differences(ours, theirs)
    interval = difference.interval
    mark = " ○" if interval.low <= 0 <= interval.high else ""
    return f"{100 * interval.mean:+.1f} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f}){mark}"


def _pooled(seeds: Iterable[Mapping[str, Outcomes]]) -> dict[str, Outcomes]:
    """All seeds as one: each question has the samples of all of them. Scores stay those of the first seed."""
    by_checkpoint: dict[str, list[Outcomes]] = {}
    for reports in seeds:
        for checkpoint, report in reports.items():
            by_checkpoint.setdefault(checkpoint, []).append(report)
    return {checkpoint: _pooled_outcomes(reports) for checkpoint, reports in by_checkpoint.items()}


def _pooled_outcomes(reports: Sequence[Outcomes]) -> Outcomes:
    pooled: dict[str, BenchmarkOutcome] = {}
    for name, first in reports[0].benchmarks.items():
        rounds = [report.benchmarks[name].rounds[1] for report in reports]
        pooled[name] = first.model_copy(update={"rounds": {1: _pooled_round(rounds)}})
    return Outcomes(benchmarks=pooled)


def _pooled_round(rounds: Sequence[RoundOutcome]) -> RoundOutcome:
    passed: dict[str, list[bool]] = {}
    for result in rounds:
        for question, samples in result.passed.items():
            passed.setdefault(question, []).extend(samples)
    return rounds[0].model_copy(update={"passed": passed})


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, ["---"] * len(head), *lines))
