"""Self-contained HTML pages: one evaluation, and one whole run. They open offline and on a phone."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.reporting import charts
from stillhouse.reporting.summary import Score, Summary

if TYPE_CHECKING:
    from stillhouse.benchmarks.evaluation import Evaluation
    from stillhouse.rows import Question, Response, Verified
    from stillhouse.stages.report import Config

TEMPLATES = Path(__file__).parent / "templates"
SAMPLES_SHOWN = 60


def write_report(path: Path, model: str, config: "Config", evaluations: "dict[str, Evaluation]") -> None:
    """The page of one evaluation: scores, verdicts, flips between rounds, and samples to read."""
    from stillhouse.benchmarks.statistics import pass_at_1
    from stillhouse.stages.report import protocol_id

    scores = [
        Score(model, name, n, pass_at_1(list(each.outcomes(n).values())), len(each.questions), each.tokens(n))
        for name, each in evaluations.items()
        for n in range(1, config.rounds + 1)
    ]
    flips = [
        {"benchmark": name, "number": n, **each.flips(n)} for name, each in evaluations.items() for n in range(2, config.rounds + 1)
    ]
    write(
        path, "report.html.j2", title=f"Evaluation of {model}", scores=scores, flips=flips,
        chart=charts.html(charts.ladder(scores), with_library=True), settings=config.model_dump(mode="json"),
        protocols={name: protocol_id(config, name) for name in evaluations},
        kinds={name: _kinds(each) for name, each in evaluations.items()},
        samples=[sample for name, each in evaluations.items() for sample in _samples(name, each)],
    )  # fmt: skip


def write_run(path: Path, summary: Summary, decision: dict[str, Any]) -> None:
    """The page of a run: decision, scores of every checkpoint, difficulty, rows and drops by stage."""
    shown = [("pass@1, checkpoint by checkpoint", charts.ladder(summary.scores))] if summary.scores else []
    shown += [("Difficulty: questions by pass rate", charts.pass_rates(summary))] if summary.pass_rates else []
    shown.append(("Time by stage", charts.stage_seconds(summary)))
    pieces = [(title, charts.html(figure, with_library=index == 0)) for index, (title, figure) in enumerate(shown)]
    title = f"Run of {decision['model']} version {decision['version']}"
    write(path, "run.html.j2", title=title, summary=summary, decision=decision, charts=pieces)


def write(path: Path, template: str, **values: object) -> None:
    """Fill in a template of ``templates/``; what is filled in is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    path.write_text(environment.get_template(template).render(**values), encoding="utf-8")


def _kinds(evaluation: "Evaluation") -> dict[int, dict[str, int]]:
    """Round -> verdict kind -> responses."""
    counted: dict[int, Counter[str]] = {}
    for row in evaluation.verified:
        counted.setdefault(row.round, Counter())[row.kind] += 1
    return {number: dict(counts.most_common()) for number, counts in sorted(counted.items())}


def _samples(name: str, evaluation: "Evaluation") -> list[dict[str, object]]:
    """The first chains of the benchmark, wrong ones first: what a reader looks for."""
    questions = {question.question_id: question for question in evaluation.questions}
    pairs = [(r, v) for r, v in zip(evaluation.responses, evaluation.verified, strict=True) if r.sample_index == 0]
    pairs.sort(key=lambda pair: (bool(pair[1].passed), pair[0].question_id, pair[0].round))
    return [_sample(name, questions[response.question_id], response, verdict) for response, verdict in pairs[:SAMPLES_SHOWN]]


def _sample(name: str, question: "Question", response: "Response", verdict: "Verified") -> dict[str, object]:
    return {
        "benchmark": name, "number": response.round, "question": question.messages[-1]["content"],
        "reference": question.reference_answer, "think": response.think, "answer": response.answer, "text": response.text,
        "kind": verdict.kind,
    }  # fmt: skip
