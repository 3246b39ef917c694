"""Reports of several checkpoints -> their differences to the first, and the published results that stand beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stillhouse.artifacts.store import artifact_name
from stillhouse.benchmarks.config import ComparisonConfig, ComparisonInputs
from stillhouse.benchmarks.outcomes import BenchmarkOutcome, EvaluationProtocol, Outcomes, read_outcomes
from stillhouse.benchmarks.paired import ComparisonRecord, differences
from stillhouse.benchmarks.published_results import PublishedComparison, published_comparisons
from stillhouse.errors import BadConfig, NothingToDo


@dataclass(frozen=True)
class ComparedReports:
    """What a comparison found."""

    record: ComparisonRecord
    outcomes: Mapping[str, Outcomes]
    """By label, the first report first."""
    published: list[PublishedComparison]

    @property
    def shared_protocols(self) -> dict[str, EvaluationProtocol]:
        """By benchmark, the protocol, if all reports that have the benchmark measured it alike: others stand beside no paper."""
        by_benchmark: dict[str, list[BenchmarkOutcome]] = {}
        for outcomes in self.outcomes.values():
            for name, outcome in outcomes.benchmarks.items():
                by_benchmark.setdefault(name, []).append(outcome)
        return {name: same[0].settings for name, same in by_benchmark.items() if len({outcome.protocol for outcome in same}) == 1}


def labelled_reports(config: ComparisonConfig, inputs: ComparisonInputs) -> dict[str, Path]:
    """The reports by label. Raises BadConfig if the labels do not name every report, each by its own."""
    labels = config.labels or tuple(artifact_name(uri) for uri in inputs.uris["reports"])
    if len(set(labels)) != len(inputs.reports):
        msg = f"comparison: {len(inputs.reports)} reports and the names {', '.join(labels)}; give `labels`, one per report"
        raise BadConfig(msg)
    return dict(zip(labels, inputs.reports, strict=True))


def compare(config: ComparisonConfig, reports: Mapping[str, Path]) -> ComparedReports:
    """Compare every report with the first one.

    Raises NothingToDo if no other report shares a protocol with the first, BadConfig if ``beside`` names an unknown checkpoint.
    """
    outcomes = {label: read_outcomes(path.as_uri()) for label, path in reports.items()}
    first, *others = outcomes
    record = ComparisonRecord(
        against=first, differences={label: differences(outcomes[label], outcomes[first]) for label in others}
    )  # fmt: skip
    if not any(record.differences.values()):
        msg = f"comparison: {', '.join(others) or 'no other report'} and {first} share no protocol id; measure them alike"
        raise NothingToDo(msg)
    if unknown := sorted(config.beside.keys() - outcomes.keys()):
        msg = f"comparison: `beside` names {', '.join(unknown)}, the checkpoints are {', '.join(outcomes)}; use their names"
        raise BadConfig(msg)
    beside = {label: config.beside[label] for label in outcomes if label in config.beside}
    return ComparedReports(record, outcomes, published_comparisons(beside))
