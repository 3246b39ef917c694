"""The evaluation stage against bare generation plus bare verification of the same rows, on a tiny model; aim: at least 0.95 x."""

import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.benchmarks.datasets import questions
from stillhouse.benchmarks.evaluation import evaluate
from stillhouse.sampling.engine import Request, load, response
from stillhouse.stages import report, sft
from stillhouse.training.config import FromScratch
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.scoring import verdicts
from stillhouse.vocabulary.rows import Question, Selected
from tests.perf.measure import table, timed

BENCHMARK = "arithmetic"
SAMPLES = int(os.environ.get("STILLHOUSE_BENCH_SAMPLES", "32"))
RUNS = 3
TINY = FromScratch(kind="scratch", hidden_size=64, intermediate_size=192, layers=2, heads=2, vocabulary=320, context=128)


def main() -> None:
    """Take turns, so that what disturbs one disturbs the other, and compare the shortest times."""
    config = report.Config(
        benchmarks=(BENCHMARK,), engine="transformers", samples=SAMPLES, max_tokens=64, system_prompt="none", suffix="none"
    )
    asked = questions(BENCHMARK)
    requests = _requests(config, asked)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        checkpoint = _checkpoint(root / "checkpoint", asked)
        bare, stage = [], []
        for number in range(RUNS):
            bare.append(_bare(config, checkpoint, asked, requests))
            stage.append(_stage(config, checkpoint, root / str(number)))
    rate = len(requests) / min(bare), len(requests) / min(stage)
    table(
        ("one round", "seconds", "responses/s", "of bare"),
        [("bare generation and verification", min(bare), rate[0], 1.0), ("report", min(stage), rate[1], rate[1] / rate[0])],
    )


def _requests(config: report.Config, asked: Sequence[Question]) -> list[Request]:
    """What the stage asks for, taken down by an engine that answers at once."""
    engine = testing.ScriptedEngine()
    with VerifierPool(config.verify_timeout_s) as pool:
        evaluate(engine, partial(verdicts, pool), config, config.model, asked, config.samples, 1, lambda *_: None)
    return engine.asked


def _bare(config: report.Config, checkpoint: Path, asked: Sequence[Question], requests: list[Request]) -> float:
    """Load, generate, verify: nothing is counted, written or drawn."""
    by_id = {row.question_id: row for row in asked}
    with timed() as timing, VerifierPool(config.verify_timeout_s) as pool:
        engine = load(config, checkpoint)
        verdicts(pool, by_id, [response(config, *each) for each in engine.sample(requests)])
    return timing.seconds


def _stage(config: report.Config, checkpoint: Path, scratch: Path) -> float:
    (scratch / "output").mkdir(parents=True)
    uris = {"checkpoint": [f"{scratch.as_uri()}/sft/tiny/1"]}
    with timed() as timing:
        report.run(config, report.Inputs(scratch=scratch, checkpoint=checkpoint, uris=uris))
    return timing.seconds


def _checkpoint(scratch: Path, asked: Sequence[Question]) -> Path:
    """A model after few steps: it writes both tags, and numbers."""
    tables.write(scratch / "selected", [testing.selected(each) for each in asked], Selected)
    (scratch / "output").mkdir()
    config = sft.Config(
        init=TINY, max_steps=60, batch_size=16, learning_rate=5e-3, max_length=96, system_prompt="none", suffix="none"
    )
    inputs = sft.Inputs(scratch=scratch, selected=scratch / "selected")
    sft.run(config, inputs)
    return inputs.output
