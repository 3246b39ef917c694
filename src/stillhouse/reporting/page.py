"""Self-contained HTML pages: one evaluation, one comparison, and one whole run. They open offline and on a phone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.reporting import charts
from stillhouse.reporting.samples import Sample, chains_shown, of_evaluation
from stillhouse.reporting.summary import Score, Summary

if TYPE_CHECKING:
    from jinja2 import Environment

    from stillhouse.benchmarks.evaluation import Evaluation
    from stillhouse.benchmarks.intervals import Interval
    from stillhouse.benchmarks.published_results import Anchor, Published
    from stillhouse.benchmarks.scores import Measured

TEMPLATES = Path(__file__).parent / "templates"


def write_report(path: Path, model: str, measured: "Sequence[Measured]") -> None:
    """The page of one evaluation: scores, verdicts, what the rounds of thinking changed, and samples to read."""
    from stillhouse.benchmarks.published_results import step_anchors
    from stillhouse.benchmarks.trajectories import TRAJECTORIES

    scores = [
        Score(
            model, each.name, number, score.pass_at_1, len(each.evaluation.questions), score.tokens, score.stop_ratio,
            each.protocol.id[:8],
        )
        for each in measured
        for number, score in each.scores.items()
    ]  # fmt: skip
    write_page(
        path, "report.html.j2", title=f"Evaluation of {model}", scores=scores, measured=measured,
        chart=charts.html(charts.ladder(scores), with_library=True),
        several={each.name: _several(each) for each in measured},
        hesitation={each.name: charts.html(charts.hesitation(each.steps), with_library=False) for each in measured if each.steps},
        lengths={each.name: charts.html(charts.lengths(each.steps), with_library=False) for each in measured if each.steps},
        kinds={each.name: _kinds(each.evaluation) for each in measured},
        trajectories=("all", *TRAJECTORIES),
        published={each.name: step_anchors(each.name, _settings(each.protocol.model_dump())) for each in measured},
        anchors=beside(scores, {each.name: each.protocol.model_dump() for each in measured}),
        samples=_samples(measured),
        about="The first chain of each question, those that end wrong first.",
    )  # fmt: skip


def write_comparison(
    path: Path, scores: Sequence[Score], settings: Mapping[str, Any], against: str,
    compared: Mapping[str, "Mapping[str, Interval]"], published: "Sequence[Published]" = (), samples: Sequence[Sample] = (),
) -> None:  # fmt: skip
    """The page of several checkpoints: their scores, and the paired difference of each to the one named ``against``.

    ``published``: the same comparison as papers print it; ``samples``: to read, see ``samples.of_reports``.
    """
    write_page(
        path, "comparison.html.j2", title=f"Comparison with {against}", scores=scores, against=against, compared=compared,
        chart=charts.html(charts.ladder(scores), with_library=True),
        difference_chart=charts.html(charts.paired(compared), with_library=False),
        anchors=beside(scores, settings), published=published, samples=samples,
        about="How each checkpoint ended the first chain of a question, questions that tell them apart first.",
    )  # fmt: skip


def beside(scores: Sequence[Score], settings: Mapping[str, Any]) -> "dict[str, tuple[list[Score], list[Anchor]]]":
    """Our scores and the papers', by benchmark that the papers measure; ``settings``: our protocol by benchmark."""
    from stillhouse.benchmarks.published_results import anchors

    found = {}
    for name, given in settings.items():
        published = anchors(name, _settings(given))
        if published:
            found[name] = ([score for score in scores if score.benchmark == name], published)
    return found


def _settings(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """What an anchor's protocol is held against."""
    return {"samples": protocol["samples"], **protocol["sampling"]}


def write_run(path: Path, summary: Summary, decision: dict[str, Any]) -> None:
    """The page of a run: decision, scores of every checkpoint, difficulty, rows and drops by stage."""
    shown = [("pass@1, checkpoint by checkpoint", charts.ladder(summary.scores))] if summary.scores else []
    shown += [("Difficulty: questions by pass rate", charts.pass_rates(summary))] if summary.pass_rates else []
    shown.append(("Time by stage", charts.stage_seconds(summary)))
    pieces = [(title, charts.html(figure, with_library=index == 0)) for index, (title, figure) in enumerate(shown)]
    title = f"Run of {decision['model']} version {decision['version']}"
    write_page(path, "run.html.j2", title=title, summary=summary, decision=decision, charts=pieces)


def write_page(path: Path, template: str, **values: object) -> None:
    """Fill in a template of ``templates/``; what is filled in is escaped."""
    path.write_text(_environment().get_template(template).render(**values), encoding="utf-8")


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def _samples(measured: "Sequence[Measured]") -> list[Sample]:
    n_chains = chains_shown(sum(len(each.scores) for each in measured))
    found = [(each.name, each.evaluation) for each in measured]
    return [
        sample
        for name, given in found
        for sample in of_evaluation(name, given.questions, given.responses, given.verified, n_chains)
    ]  # fmt: skip


def _kinds(evaluation: "Evaluation") -> dict[int, dict[str, int]]:
    """Round -> verdict kind -> responses."""
    counted: dict[int, Counter[str]] = {}
    for row in evaluation.verified:
        counted.setdefault(row.round, Counter())[row.kind] += 1
    return {number: dict(counts.most_common()) for number, counts in sorted(counted.items())}


def _several(measured: "Measured") -> dict[int, "dict[int, Interval]"]:
    """Round -> k -> pass@k, where a question has more than one sample."""
    return {number: score.pass_at_k for number, score in measured.scores.items() if score.pass_at_k}
