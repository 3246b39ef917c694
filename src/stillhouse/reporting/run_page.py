"""The page of a whole run: five sentences, then where the rows went, how training went, the scores, and samples that teach."""

from collections.abc import Sequence
from pathlib import Path

from stillhouse.registry.gate import DecisionRecord
from stillhouse.reporting import charts, flows, headline, training_curves
from stillhouse.reporting.page import beside
from stillhouse.reporting.rendering import write_page
from stillhouse.reporting.samples import with_formulas
from stillhouse.reporting.summary import Hop, Summary
from stillhouse.reporting.teaching import Case
from stillhouse.reporting.texts import model_text
from stillhouse.reporting.training_curves import Curves

SAMPLE_BYTES = 3 * 2**20
"""HTML of all samples: with KaTeX and the charts a page stays below 5 MB, whatever a model writes."""


def write_run(
    path: Path, summary: Summary, record: DecisionRecord, cases: Sequence[Case] = (), curves: Curves | None = None
) -> None:  # fmt: skip
    """Write the page. ``cases``: see ``teaching.cases``; ``curves``: see ``training_curves.curves``."""
    shown = _within_size(cases)
    settings = {
        name: outcome.settings for outcomes in list(summary.outcomes.values())[-1:] for name, outcome in outcomes.benchmarks.items()
    }
    write_page(
        path, "run.html.j2", formulas=with_formulas(sample for case in shown for sample in case.samples),
        title=f"Run of {record.model} version {record.model_version}", summary=summary, decision=record.decision,
        sentences=headline.sentences(summary, record.model, record.model_version, record.decision),
        question_flow=flows.questions(summary), response_flow=flows.responses(summary),
        score_chart=charts.ladder(summary.scores) if summary.scores else "",
        difficulty_chart=charts.pass_rates(summary.pass_rates) if summary.pass_rates else "",
        spreads=_spreads(summary.of_stage("graded")), curve_charts=training_curves.drawn(curves or {}),
        published_scores=beside(summary.scores, settings),
        time_chart=charts.ranked([(hop.label, hop.seconds) for hop in summary.hops], "seconds"), cases=shown,
    )  # fmt: skip


def _within_size(cases: Sequence[Case]) -> list[Case]:
    """The first cases whose texts together stay below ``SAMPLE_BYTES`` as HTML."""
    shown, size = list[Case](), 0
    for case in cases:
        size += sum(len(model_text(text).encode()) for sample in case.samples for text in sample.texts)
        if size > SAMPLE_BYTES:
            break
        shown.append(case)
    return shown


def _spreads(graded: Sequence[Hop]) -> dict[str, tuple[float, float | None]]:
    """Model -> mean pass rate, and mean CV of its scores if one is defined."""
    metrics = {name: value for hop in graded for name, value in hop.manifest.metrics.items()}
    models = [name.removeprefix("pass_rate/") for name in metrics if name.startswith("pass_rate/")]
    return {model: (metrics[f"pass_rate/{model}"], metrics.get(f"cv/{model}")) for model in models}
