"""Self-contained HTML pages of one evaluation and of one comparison. They open offline and on a phone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse.benchmarks.compared_reports import ComparedReports
from stillhouse.benchmarks.evaluation import Evaluation
from stillhouse.benchmarks.outcomes import EvaluationProtocol, Outcomes, Score, scores
from stillhouse.benchmarks.published_results import PublishedScore, published_scores, published_steps
from stillhouse.benchmarks.scores import Measured
from stillhouse.benchmarks.trajectories import TRAJECTORIES
from stillhouse.reporting import charts
from stillhouse.reporting.rendering import write_page
from stillhouse.reporting.samples import Sample, chains_shown, of_comparison, of_evaluation, with_formulas


def write_report(path: Path, model: str, measured: Sequence[Measured]) -> None:
    """The page of one evaluation: scores, verdicts, what the rounds of thinking changed, and samples to read."""
    outcomes = {result.name: result.outcome for result in measured}
    settings = {name: outcome.settings for name, outcome in outcomes.items()}
    rows = list(scores(model, Outcomes(benchmarks=outcomes)))
    samples = _samples(measured)
    stepped = {name: outcome.steps for name, outcome in outcomes.items() if outcome.steps}
    write_page(
        path, "report.html.j2", scripts=["filters.js"], formulas=with_formulas(samples),
        title=f"Evaluation of {model}", scores=rows, outcomes=outcomes, chart=charts.ladder(rows),
        several=[
            (name, number, result.pass_at_k)
            for name, outcome in outcomes.items()
            for number, result in outcome.rounds.items()
            if result.pass_at_k
        ],
        hesitation={name: charts.hesitation(steps) for name, steps in stepped.items()},
        lengths={name: charts.lengths(steps) for name, steps in stepped.items()},
        kinds={result.name: _kinds(result.evaluation) for result in measured},
        trajectories=("all", *TRAJECTORIES),
        published_steps={name: published_steps(name, _comparable(protocol)) for name, protocol in settings.items()},
        published_scores=beside(rows, settings),
        samples=samples,
        about="The first chain of each question; chains that end wrong come first.",
    )  # fmt: skip


def write_comparison(path: Path, compared: ComparedReports, reports: Mapping[str, Path]) -> None:
    """The page of several checkpoints: scores, paired differences to the first, and samples of ``reports`` side by side."""
    rows = [score for label, outcomes in compared.outcomes.items() for score in scores(label, outcomes)]
    settings, against = compared.shared_protocols, compared.record.against
    measuring = {
        name: {label: reports[label] for label, outcomes in compared.outcomes.items() if name in outcomes.benchmarks}
        for name in settings
    }
    samples = of_comparison(measuring)
    write_page(
        path, "comparison.html.j2", scripts=["filters.js"], formulas=with_formulas(samples),
        title=f"Comparison with {against}", scores=rows, against=against,
        compared=compared.record.differences, chart=charts.ladder(rows),
        difference_chart=charts.paired(compared.record.differences),
        published_scores=beside(rows, settings), published=compared.published, samples=samples,
        about="How each checkpoint ended the first chain of a question; questions that tell the checkpoints apart come first.",
    )  # fmt: skip


def beside(
    rows: Sequence[Score], settings: Mapping[str, EvaluationProtocol]
) -> dict[str, tuple[list[Score], list[PublishedScore]]]:
    """Our scores and the papers', by benchmark that a paper measured; ``settings``: our protocol by benchmark."""
    return {
        name: ([score for score in rows if score.benchmark == name], published)
        for name, protocol in settings.items()
        if (published := published_scores(name, _comparable(protocol)))
    }


def _comparable(protocol: EvaluationProtocol) -> dict[str, Any]:
    """The settings that a paper's protocol is compared with."""
    return {"samples": protocol.samples, **protocol.sampling}


def _samples(measured: Sequence[Measured]) -> list[Sample]:
    n_chains = chains_shown(sum(len(result.outcome.rounds) for result in measured))
    return [sample for result in measured for sample in of_evaluation(result.name, result.evaluation, n_chains)]


def _kinds(evaluation: Evaluation) -> dict[int, dict[str, int]]:
    """Round -> verdict kind -> responses."""
    counts: dict[int, Counter[str]] = {}
    for row in evaluation.verified:
        counts.setdefault(row.round, Counter())[row.kind] += 1
    return {number: dict(kinds.most_common()) for number, kinds in sorted(counts.items())}
