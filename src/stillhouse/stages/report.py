"""checkpoint -> report: pass@1 with its interval on named benchmarks, over one or more rounds of thinking."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, field_validator

from stillhouse.artifacts import tables
from stillhouse.benchmarks import bare_name, definition, pinned, questions
from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.sampling.config import Sampling
from stillhouse.vocabulary.rows import Question, Response, Verified

if TYPE_CHECKING:
    from stillhouse.benchmarks.evaluation import Verify
    from stillhouse.benchmarks.scores import Measured
    from stillhouse.verification.pool import VerifierPool

SCHEMA_VERSION = 4
OUTCOMES = "outcomes.json"
HTML = "report.html"


class Config(Sampling):
    """What to measure. The sampling defaults are the papers' (temperature 0.6, top_p 0.95, 32,768 tokens)."""

    benchmarks: tuple[Annotated[str, AfterValidator(pinned)], ...] = Field(min_length=1)
    """Benchmarks, by name; the revision is filled in. One that others publish needs its data too: NAME@COMMIT of its hub data set,
    or NAME@sha256-DIGEST of NAME.jsonl below STILLHOUSE_BENCHMARKS."""
    model: str = "candidate"
    """The model's name in the rows; without a checkpoint input, the model itself on the Hugging Face hub."""
    samples: int = Field(4, ge=1)
    """Responses to a question; pass@1 is their mean."""
    rounds: int = Field(1, ge=1, le=8)
    """Rounds of thinking: each further one shows the last answer and asks again (Think Twice: 2, up to 4)."""
    verify_timeout_s: float = Field(0.9, gt=0)
    """Seconds one verification may take before its worker is killed."""

    @field_validator("benchmarks")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        bare = [bare_name(each) for each in names]
        if twice := sorted({each for each in bare if bare.count(each) > 1}):
            msg = f"{', '.join(twice)} is named more than once; name each benchmark once, in one revision"
            raise ValueError(msg)
        return names


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """The checkpoint to measure."""

    checkpoint: Path | None = None


def run(config: Config, inputs: Inputs) -> Outputs:
    """Ask, verify, count; write the rows, the outcomes by question, and a page to read."""
    from stillhouse.benchmarks.evaluation import evaluate
    from stillhouse.benchmarks.protocol import protocol
    from stillhouse.benchmarks.scores import measure
    from stillhouse.reporting.page import write_report
    from stillhouse.sampling.engine import load
    from stillhouse.verification.pool import VerifierPool

    asked_in = {name: questions(name) for name in config.benchmarks}
    total, done = sum(map(len, asked_in.values())) * config.samples * config.rounds, 0
    engine = load(config, inputs.checkpoint or config.model)
    protocols = {name: protocol(config, name, asked) for name, asked in asked_in.items()}
    measured: list[Measured] = []
    with VerifierPool(config.verify_timeout_s) as pool:
        for name, asked in asked_in.items():
            evaluation = evaluate(
                engine, _verify(name, pool), config, config.model, asked, config.samples, config.rounds,
                partial(_progress, inputs, done, total),
            )  # fmt: skip
            measured.append(measure(bare_name(name), protocols[name], evaluation))
            done += len(evaluation.responses)
    _write_rows(inputs.output, measured)
    outcomes = {each.name: each.record() for each in measured}
    (inputs.output / OUTCOMES).write_text(json.dumps(outcomes), encoding="utf-8")
    write_report(inputs.output / HTML, _title(config, inputs), measured)
    return Outputs(metrics={key: value for each in measured for key, value in each.metrics().items()}, artifacts=[HTML, OUTCOMES])


def _verify(benchmark: str, pool: "VerifierPool") -> "Verify":
    """How the benchmark's answers are judged: by the letter they name, or as any other answers are."""
    from stillhouse.benchmarks import multiple_choice
    from stillhouse.verification.scoring import verdicts

    return multiple_choice.verdicts if definition(benchmark).multiple_choice else partial(verdicts, pool)


def _progress(inputs: Inputs, before: int, total: int, done: int, _: int) -> None:
    """Answers of all benchmarks, where an evaluation counts those of its own."""
    inputs.progress(before + done, total, "answers")


def _title(config: Config, inputs: Inputs) -> str:
    """What was measured: the checkpoint's artifact, or the model on the hub."""
    from stillhouse.reporting.summary import artifact_name

    return artifact_name(inputs.uris["checkpoint"][0]) if inputs.checkpoint else config.model


def _write_rows(directory: Path, measured: "Sequence[Measured]") -> None:
    for each in measured:
        tables.write(directory / each.name / "questions", each.evaluation.questions, Question)
        tables.write(directory / each.name / "responses", each.evaluation.responses, Response)
        tables.write(directory / each.name / "verified", each.evaluation.verified, Verified)
