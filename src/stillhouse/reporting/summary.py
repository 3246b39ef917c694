"""What a run did, gathered from manifests alone: rows and drops by stage, difficulty, pass@1 of every checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rich import box
from rich.console import Console
from rich.table import Table

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.manifest import Manifest
from stillhouse.benchmarks.intervals import Interval
from stillhouse.stages import DATA_PATH


@dataclass(frozen=True)
class Hop:
    """One executed stage."""

    label: str
    uri: str
    rows: int | None
    dropped: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class Score:
    """pass@1 of one checkpoint on one benchmark in one round."""

    label: str
    benchmark: str
    number: int
    measured: Interval
    questions: int
    tokens: float
    """Mean tokens of a response."""
    stop_ratio: float
    """Share of responses that ended by themselves."""
    protocol: str = ""
    """The first digits of its id: scores compare where they are equal."""


@dataclass(frozen=True)
class Summary:
    """A run, in the order of the path."""

    hops: list[Hop] = field(default_factory=list)
    pass_rates: dict[str, dict[str, int]] = field(default_factory=dict)
    """Model -> pass rate -> questions."""
    levels: dict[str, int] = field(default_factory=dict)
    """Difficulty level -> questions."""
    scores: list[Score] = field(default_factory=list)


def collect(uris: Sequence[str]) -> Summary:
    """Gather all that the artifacts at ``uris`` were made of. Reports count where they are among ``uris`` or below one."""
    found: dict[str, Manifest] = {}
    for uri in uris:
        found |= {link: manifest for _, _, link, manifest in manifests.lineage(uri) if manifest is not None}
    ordered = sorted(found.items(), key=lambda item: (DATA_PATH.index(item[1].stage), item[1].provenance.finished))
    summary = Summary([_hop(uri, manifest) for uri, manifest in ordered])
    for _, manifest in ordered:
        if manifest.stage == "graded":
            _add_grades(summary, manifest)
    reports = [item for item in ordered if item[1].stage == "report"]
    # Reports are made side by side and end in any order; their checkpoints were made one after the other.
    for uri, manifest in sorted(reports, key=lambda item: _trained(found, item[1])):
        summary.scores.extend(_scores(uri, manifest))
    return summary


def _trained(found: Mapping[str, Manifest], report: Manifest) -> datetime:
    """When the checkpoint of a report was made; when the report was, where that is not known."""
    links = report.inputs.get("checkpoint", [])
    checkpoint = found.get(links[0].uri) if links else None
    return (checkpoint or report).provenance.finished


def artifact_name(uri: str) -> str:
    """``laptop-anneal`` of ``…/sft/laptop-anneal/demo``."""
    return uri.split("/")[-2]


def _hop(uri: str, manifest: Manifest) -> Hop:
    return Hop(f"{manifest.stage} {artifact_name(uri)}", uri, _rows(manifest), manifest.dropped, manifest.seconds)


def _rows(manifest: Manifest) -> int | None:
    """Rows passed on; of a report its verified answers; None for what has no rows: checkpoints and registrations."""
    if manifest.stage == "report":
        return sum(file.rows or 0 for name, file in manifest.files.items() if "/verified/" in name)
    return manifest.rows if any(file.rows is not None for file in manifest.files.values()) else None


def _add_grades(summary: Summary, manifest: Manifest) -> None:
    """Read the histograms from metric names: ``n_pass_rate/MODEL/RATE`` (MODEL may have slashes) and ``n_level_LEVEL``."""
    for name, value in manifest.metrics.items():
        if name.startswith("n_pass_rate/"):
            model, _, rate = name.removeprefix("n_pass_rate/").rpartition("/")
            summary.pass_rates.setdefault(model, {})[rate] = int(value)
        elif name.startswith("n_level_"):
            summary.levels[name.removeprefix("n_level_")] = int(value)


def _scores(uri: str, manifest: Manifest) -> list[Score]:
    """One score for every metric ``BENCHMARK/PROTOCOL/round_N/pass_at_1``."""
    scores = []
    for name, value in manifest.metrics.items():
        prefix, _, what = name.rpartition("/")
        if what != "pass_at_1":
            continue
        benchmark, protocol, of_round = prefix.split("/")
        low, high, tokens, stopped = (manifest.metrics[f"{prefix}/{each}"] for each in ("low", "high", "tokens", "stop_ratio"))
        questions = manifest.files[f"{benchmark}/questions/part-00000.parquet"].rows or 0
        number = int(of_round.removeprefix("round_"))
        interval = Interval(value, low, high)
        scores.append(Score(artifact_name(uri), benchmark, number, interval, questions, tokens, stopped, protocol))
    return scores


def print_summary(console: Console, uri: str) -> None:
    """Print the run that the artifact at ``uri`` is the end of. Raises MissingInput if nothing is published there."""
    manifest = manifests.load(uri)
    summary = collect([uri])
    console.print(_hops_table(summary.hops))
    if summary.pass_rates:
        console.print(_pass_rate_table(summary))
    if summary.scores:
        console.print(_scores_table(summary.scores))
    if manifest.stage == "comparison":
        console.print(_differences_table(manifest))


def _hops_table(hops: list[Hop]) -> Table:
    table = Table(title="rows by stage", title_justify="left", box=box.SIMPLE)
    for name, justify in (("stage", "left"), ("rows", "right"), ("dropped", "right"), ("why", "left"), ("seconds", "right")):
        table.add_column(name, justify=justify, no_wrap=name == "stage")  # type: ignore[arg-type]
    for hop in hops:
        why = " · ".join(f"{reason} {count:,}" for reason, count in hop.dropped.items())
        rows = "–" if hop.rows is None else f"{hop.rows:,}"
        table.add_row(hop.label, rows, f"{sum(hop.dropped.values()):,}", why, f"{hop.seconds:.1f}")
    return table


def _pass_rate_table(summary: Summary) -> Table:
    """The difficulty histogram: questions by pass rate, with a bar to the largest count."""
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
    # Padded on one side alone: a terminal of 80 columns holds it.
    table = Table(title="pass@1 with its 95 % interval", title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for name in ("checkpoint", "benchmark", "round", "pass@1", "interval", "tokens", "stopped"):
        table.add_column(name, justify="left" if name in {"checkpoint", "benchmark"} else "right")
    for score in scores:
        measured = score.measured
        table.add_row(
            score.label, score.benchmark, str(score.number), f"{measured.mean:.3f}", f"{measured.low:.3f}–{measured.high:.3f}",
            f"{score.tokens:.1f}", f"{score.stop_ratio:.1%}",
        )  # fmt: skip
    return table


def _differences_table(comparison: Manifest) -> Table:
    """Read from the metrics ``LABEL/BENCHMARK/round_N/mean``, ``low`` and ``high``."""
    table = Table(title="pass@1 against the first report, paired", title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for name in ("report", "benchmark", "round", "difference", "interval"):
        table.add_column(name, justify="left" if name in {"report", "benchmark"} else "right")
    for name, mean in comparison.metrics.items():
        prefix, _, what = name.rpartition("/")
        if what == "mean":
            label, benchmark, of_round = prefix.split("/")
            low, high = (comparison.metrics[f"{prefix}/{end}"] for end in ("low", "high"))
            table.add_row(label, benchmark, of_round.removeprefix("round_"), f"{mean:+.3f}", f"{low:+.3f} – {high:+.3f}")
    return table
