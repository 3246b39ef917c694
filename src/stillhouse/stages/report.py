"""checkpoint -> report: pass@1 with its interval on named benchmarks, over one or more rounds of thinking."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from stillhouse import identity, rows
from stillhouse.benchmarks import pinned
from stillhouse.benchmarks.evaluation import Evaluation
from stillhouse.rows import Question, Response, Verified
from stillhouse.sampling.engine import Sampling
from stillhouse.stage import Outputs, StageInputs

OUTCOMES = "outcomes.json"
HTML = "report.html"


class Config(Sampling):
    """What to measure. The sampling defaults are the papers' (temperature 0.6, top_p 0.95, 32,768 tokens)."""

    benchmarks: tuple[Annotated[str, AfterValidator(pinned)], ...] = Field(min_length=1)
    """Benchmarks, by name; the revision is filled in."""
    model: str = "candidate"
    """The model's name in the rows; without a checkpoint input, the model itself on the Hugging Face hub."""
    samples: int = Field(4, ge=1)
    """Responses to a question; pass@1 is their mean."""
    rounds: int = Field(1, ge=1, le=8)
    """Rounds of thinking: each further one shows the last answer and asks again (Think Twice: 2, up to 4)."""
    verify_timeout_s: float = Field(10, gt=0)
    """Seconds one verification may take before its worker is killed."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """The checkpoint to measure."""

    checkpoint: Path | None = None


def run(config: Config, inputs: Inputs) -> Outputs:
    """Ask, verify, count; write the rows, the outcomes by question, and a page to read."""
    from stillhouse import benchmarks
    from stillhouse.benchmarks.evaluation import evaluate
    from stillhouse.reporting.page import write_report
    from stillhouse.sampling.engine import load
    from stillhouse.verification.pool import VerifierPool

    questions = {name: benchmarks.questions(name) for name in (each.partition("@")[0] for each in config.benchmarks)}
    total, done = sum(map(len, questions.values())) * config.samples * config.rounds, 0
    engine = load(config, inputs.checkpoint or config.model)
    evaluations: dict[str, Evaluation] = {}
    with VerifierPool(config.verify_timeout_s) as pool:
        for name, asked in questions.items():
            evaluations[name] = evaluate(
                engine, pool, config, config.model, asked, config.samples, config.rounds,
                partial(_progress, inputs, done, total),
            )  # fmt: skip
            done += len(evaluations[name].responses)
    _write_rows(inputs.output, evaluations)
    outcomes = {name: _outcomes(config, name, each) for name, each in evaluations.items()}
    (inputs.output / OUTCOMES).write_text(json.dumps(outcomes), encoding="utf-8")
    metrics = {key: value for name, each in evaluations.items() for key, value in _metrics(config, name, each).items()}
    write_report(inputs.output / HTML, _title(config, inputs), config, evaluations)
    return Outputs(metrics=metrics, artifacts=[HTML, OUTCOMES])


def _progress(inputs: Inputs, before: int, total: int, done: int, _: int) -> None:
    """Answers of all benchmarks, where an evaluation counts those of its own."""
    inputs.progress(before + done, total, "answers")


def _title(config: Config, inputs: Inputs) -> str:
    """What was measured: the checkpoint's artifact, or the model on the hub."""
    from stillhouse.reporting.summary import artifact_name

    return artifact_name(inputs.uris["checkpoint"][0]) if inputs.checkpoint else config.model


def _write_rows(directory: Path, evaluations: dict[str, Evaluation]) -> None:
    for name, each in evaluations.items():
        rows.write(directory / name / "questions", each.questions, Question)
        rows.write(directory / name / "responses", each.responses, Response)
        rows.write(directory / name / "verified", each.verified, Verified)


def _outcomes(config: Config, name: str, evaluation: Evaluation) -> dict[str, object]:
    """What a comparison needs: under which protocol, and which samples of which question passed, by round."""
    rounds = {str(number): evaluation.outcomes(number) for number in range(1, config.rounds + 1)}
    return {"protocol": protocol_id(config, name), "rounds": rounds}


def protocol_id(config: Config, benchmark: str) -> str:
    """Names how a score was measured; scores under different ids are not comparable."""
    from importlib.metadata import version

    return identity.content_id(pinned(benchmark), str(config.samples), config.sampling_id, f"math-verify {version('math-verify')}")


def _metrics(config: Config, name: str, evaluation: Evaluation) -> dict[str, float]:
    from stillhouse.benchmarks.statistics import pass_at_1

    metrics: dict[str, float] = {}
    for number in range(1, config.rounds + 1):
        measured = pass_at_1(list(evaluation.outcomes(number).values()))
        prefix = f"{name}/round_{number}"
        metrics |= {f"{prefix}/pass_at_1": measured.mean, f"{prefix}/low": measured.low, f"{prefix}/high": measured.high}
        metrics[f"{prefix}/tokens"] = evaluation.tokens(number)
        if number > 1:
            metrics |= {f"{prefix}/{kind}": float(count) for kind, count in evaluation.flips(number).items()}
    metrics[f"{name}/n_unverified"] = sum(row.passed is None for row in evaluation.verified)
    return metrics
