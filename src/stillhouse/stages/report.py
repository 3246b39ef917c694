"""checkpoint -> report: pass@1 with its interval on named benchmarks, over one or more rounds of thinking."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from stillhouse.artifacts import tables
from stillhouse.benchmarks.config import ReportConfig, ReportInputs
from stillhouse.benchmarks.definitions import bare_name
from stillhouse.execution.contract import Outputs
from stillhouse.models.references import name_of
from stillhouse.vocabulary.rows import Question, Response, Verified

if TYPE_CHECKING:
    from stillhouse.benchmarks.scores import Measured

SCHEMA_VERSION = 5
HTML = "report.html"

Config = ReportConfig
Inputs = ReportInputs


def run(config: ReportConfig, inputs: ReportInputs) -> Outputs:
    """Sample, verify and score; write the rows, the outcomes by question, and a page to read."""
    from stillhouse.benchmarks.outcomes import Outcomes
    from stillhouse.reporting.page import write_report

    measured = _measured(config, inputs)
    for result in measured:
        tables.write(inputs.output / result.name / "questions", result.evaluation.questions, Question)
        tables.write(inputs.output / result.name / "responses", result.evaluation.responses, Response)
        tables.write(inputs.output / result.name / "verified", result.evaluation.verified, Verified)
    outcomes = Outcomes(benchmarks={result.name: result.outcome for result in measured}).write(inputs.output)
    write_report(inputs.output / HTML, _model_name(config, inputs), measured)
    metrics = {name: value for result in measured for name, value in result.metrics().items()}
    return Outputs(metrics=metrics, artifacts=[HTML, outcomes])


def _measured(config: ReportConfig, inputs: ReportInputs) -> "Sequence[Measured]":
    """The model on every benchmark, one after the other."""
    from stillhouse.benchmarks.datasets import questions
    from stillhouse.benchmarks.evaluation import evaluate, verify_by
    from stillhouse.benchmarks.protocol import protocol
    from stillhouse.benchmarks.scores import measure
    from stillhouse.sampling.engine import load
    from stillhouse.verification.pool import VerifierPool
    from stillhouse.verification.scoring import with_rules
    from stillhouse.verification.verifier import with_libraries

    by_benchmark = {
        name: [with_rules(row, config.answer_rules, config.instruction_mode) for row in questions(name)]
        for name in config.benchmarks
    }
    total, done = sum(map(len, by_benchmark.values())) * config.samples * config.rounds, 0
    engine = load(config, inputs.checkpoint or config.model)
    protocols = {name: protocol(config, name, of_benchmark) for name, of_benchmark in by_benchmark.items()}
    measured: list[Measured] = []
    with VerifierPool(config.verify_timeout_s, verifiers=with_libraries({}, config.libraries)) as pool:
        for name, of_benchmark in by_benchmark.items():
            evaluation = evaluate(
                engine, verify_by(name, pool), config, name_of(config.model), of_benchmark, config.samples, config.rounds,
                partial(_progress, inputs, done, total),
            )  # fmt: skip
            measured.append(measure(bare_name(name), protocols[name], evaluation))
            done += len(evaluation.responses)
    return measured


def _progress(inputs: ReportInputs, before: int, total: int, done: int, _: int) -> None:
    """Count the answers of all benchmarks; an evaluation counts only its own."""
    inputs.progress(before + done, total, "answers")


def _model_name(config: ReportConfig, inputs: ReportInputs) -> str:
    """The name of the checkpoint, or of the model that the config names."""
    return name_of(inputs.uris["checkpoint"][0]) if inputs.checkpoint else name_of(config.model)
