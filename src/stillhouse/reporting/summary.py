"""What a run did, gathered from its manifests and records: rows and drops by stage, difficulty, pass@1 of every checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import records
from stillhouse.artifacts.manifest import Manifest
from stillhouse.artifacts.store import artifact_name
from stillhouse.benchmarks.outcomes import Outcomes, Score, read_outcomes, scores
from stillhouse.benchmarks.paired import ComparisonRecord
from stillhouse.grading.difficulty import DifficultyRecord, added
from stillhouse.vocabulary.stage_names import STAGE_NAMES

EARLIER_RUNS = ("previous",)
"""Inputs that were made by earlier runs, whose work is not this run's."""


@dataclass(frozen=True)
class Hop:
    """One executed stage."""

    label: str
    uri: str
    rows: int | None
    """Rows passed on; None for artifacts without rows, such as checkpoints."""
    dropped: dict[str, int]
    seconds: float
    manifest: Manifest


@dataclass(frozen=True)
class Summary:
    """A run, in the order of the path."""

    hops: list[Hop] = field(default_factory=list)
    pass_rates: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Model -> pass rate -> questions."""
    levels: Mapping[str, int] = field(default_factory=dict)
    """Difficulty level -> questions."""
    scores: list[Score] = field(default_factory=list)
    outcomes: Mapping[str, Outcomes] = field(default_factory=dict)
    """What the report on each checkpoint measured, in the order of training."""

    def of_stage(self, stage: str) -> list[Hop]:
        """The executions of one stage."""
        return [hop for hop in self.hops if hop.manifest.stage == stage]


def collect(uris: Sequence[str]) -> Summary:
    """Summarise the lineage of the artifacts at ``uris``. Reports count if they are among ``uris`` or in their lineage.

    Raises MissingInput or BadRows if the record of a report or of graded questions is gone, or another release wrote it.
    """
    lineage: dict[str, Manifest] = {}
    for uri in uris:
        walked = manifests.lineage(uri, without=EARLIER_RUNS)
        lineage |= {link: manifest for _, _, link, manifest in walked if manifest is not None}
    path = sorted(lineage.items(), key=lambda item: (_path_position(item[1]), item[1].provenance.finished))
    pass_rates: dict[str, Mapping[str, int]] = {}
    levels: dict[str, int] = {}
    for uri, manifest in path:
        if difficulty := _difficulty(uri, manifest):
            # A checkpoint trained further has earlier questions in its lineage; the ones graded last count.
            pass_rates |= difficulty.pass_rates
            levels |= difficulty.levels
    reports = [(uri, manifest) for uri, manifest in path if manifest.stage == "report"]
    # Reports are made side by side and end in any order; sort them as their checkpoints were made.
    reports.sort(key=lambda item: _trained_at(lineage, item[1]))
    outcomes = {artifact_name(uri): read_outcomes(uri) for uri, _ in reports}
    return Summary(
        hops=[_hop(uri, manifest) for uri, manifest in path],
        pass_rates=pass_rates,
        levels=levels,
        scores=[score for label, measured in outcomes.items() for score in scores(label, measured)],
        outcomes=outcomes,
    )


def _path_position(manifest: Manifest) -> int:
    """The stage's position in the path; the end for a stage that this release does not know."""
    return STAGE_NAMES.index(manifest.stage) if manifest.stage in STAGE_NAMES else len(STAGE_NAMES)


def _trained_at(lineage: Mapping[str, Manifest], report: Manifest) -> datetime:
    """When the report's checkpoint was made; if that is unknown, when the report was."""
    links = report.inputs.get("checkpoint", [])
    checkpoint = lineage.get(links[0].uri) if links else None
    return (checkpoint or report).provenance.finished


def _hop(uri: str, manifest: Manifest) -> Hop:
    return Hop(f"{manifest.stage} {artifact_name(uri)}", uri, _rows(manifest), manifest.dropped, manifest.seconds, manifest)


def _rows(manifest: Manifest) -> int | None:
    """Rows passed on; for a report its verified responses; None for artifacts without rows: checkpoints and registrations."""
    if manifest.stage == "report":
        return sum(file.rows or 0 for name, file in manifest.files.items() if "/verified/" in name)
    return manifest.rows if any(file.rows is not None for file in manifest.files.values()) else None


def _difficulty(uri: str, manifest: Manifest) -> DifficultyRecord | None:
    """The record of graded questions, its shards added up; None for other stages and for artifacts older than the record."""
    names = [name for name in manifest.files if PurePosixPath(name).name == DifficultyRecord.FILE]
    if manifest.stage != "graded" or not names:
        return None
    return added([records.read(DifficultyRecord, uri, name) for name in names])


def print_summary(console: Console, uri: str) -> None:
    """Print the run that ended in the artifact at ``uri``. Raises MissingInput if nothing is published there."""
    manifest = manifests.load(uri)
    summary = collect([uri])
    console.print(_hops_table(summary.hops))
    if summary.pass_rates:
        console.print(_pass_rate_table(summary))
    if summary.scores:
        console.print(_scores_table(summary.scores))
    if manifest.stage == "comparison":
        console.print(_differences_table(records.read(ComparisonRecord, uri)))


def _table(title: str, columns: Mapping[str, JustifyMethod]) -> Table:
    # Pad one side only: the widest table fits a terminal of 80 columns.
    table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for name, justify in columns.items():
        table.add_column(name, justify=justify)
    return table


def _hops_table(hops: list[Hop]) -> Table:
    table = Table(title="rows by stage", title_justify="left", box=box.SIMPLE)
    columns: dict[str, JustifyMethod] = {"stage": "left", "rows": "right", "dropped": "right", "why": "left", "seconds": "right"}
    for name, justify in columns.items():
        table.add_column(name, justify=justify, no_wrap=name == "stage")
    for hop in hops:
        why = " · ".join(f"{reason} {count:,}" for reason, count in hop.dropped.items())
        rows = "–" if hop.rows is None else f"{hop.rows:,}"
        table.add_row(hop.label, rows, f"{sum(hop.dropped.values()):,}", why, f"{hop.seconds:.1f}")
    return table


def _pass_rate_table(summary: Summary) -> Table:
    """The difficulty histogram: questions by pass rate, with bars scaled to the largest count."""
    levels = " · ".join(f"level {level}: {count:,}" for level, count in summary.levels.items())
    table = Table(title=f"difficulty: questions by pass rate   {levels}", title_justify="left", box=box.SIMPLE)
    rates = sorted({rate for counts in summary.pass_rates.values() for rate in counts}, key=float)
    largest = max(count for counts in summary.pass_rates.values() for count in counts.values())
    table.add_column("pass rate", justify="right")
    for model in summary.pass_rates:
        table.add_column(model, no_wrap=True)
    for rate in rates:
        counts = [summary.pass_rates[model].get(rate, 0) for model in summary.pass_rates]
        table.add_row(rate, *(f"{'█' * round(12 * count / max(largest, 1))} {count:,}" for count in counts))
    return table


def _scores_table(scores: list[Score]) -> Table:
    columns: dict[str, JustifyMethod] = {"checkpoint": "left", "benchmark": "left"}
    columns |= dict.fromkeys(("round", "pass@1", "interval", "tokens", "stopped"), "right")
    table = _table("pass@1 with its 95 % interval", columns)
    for score in scores:
        measured = score.measured
        table.add_row(
            score.label, score.benchmark, str(score.number), f"{measured.mean:.3f}", f"{measured.low:.3f}–{measured.high:.3f}",
            f"{score.tokens:.1f}", f"{score.stop_ratio:.1%}",
        )  # fmt: skip
    return table


def _differences_table(comparison: ComparisonRecord) -> Table:
    columns: dict[str, JustifyMethod] = {"report": "left", "benchmark": "left"}
    columns |= dict.fromkeys(("round", "difference", "interval"), "right")
    table = _table("pass@1 against the first report, paired", columns)
    for label, differences in comparison.differences.items():
        for difference in differences:
            interval = difference.interval
            bounds = f"{interval.low:+.3f} – {interval.high:+.3f}"
            table.add_row(label, difference.benchmark, str(difference.number), f"{interval.mean:+.3f}", bounds)
    return table
