"""The parts of ``check.py --vllm``: for an image, or a machine, with vLLM and a GPU."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

from stillhouse.artifacts import tables
from stillhouse.stages import report, responses, rl
from stillhouse.vocabulary.rows import Response
from tests.gpu.parts import ON_GPU, peak_gib, rl_inputs, variables
from tests.gpu.rows import Row, at_least, at_most, holds
from tests.gpu.sizes import Size
from tests.perf import training

N_PROMPTS = 1000


def responses_of(work: Path, name: str) -> tuple[list[str], float]:
    """The texts by vLLM to all prepared questions, and tokens a second."""
    scratch = work / name
    scratch.mkdir()
    samples = max(1, N_PROMPTS // 240)
    config = responses.Config(
        model="initial", engine="vllm", samples=samples, max_tokens=256, temperature=0.8, system_prompt="none", suffix="none"
    )
    inputs = responses.Inputs(scratch=scratch, questions=work / "questions", checkpoint=work / "initial" / "output")
    begin = time.perf_counter()
    responses.run(config, inputs)
    seconds = time.perf_counter() - begin
    rows = sorted(tables.read(inputs.output, Response), key=lambda row: (row.question_id, row.sample_index))
    return [row.text for row in rows], sum(row.completion_tokens or 0 for row in rows) / seconds


def sampled(work: Path, size: Size) -> list[Row]:
    """1,000 responses, twice: speed with the start included, and equal rows; and a report."""
    training.prepare(work, size.large)
    first, speed = responses_of(work, "first")
    second, _ = responses_of(work, "second")
    scratch = work / "report"
    scratch.mkdir()
    inputs = report.Inputs(scratch=scratch, checkpoint=work / "initial" / "output")
    config = report.Config(benchmarks=("arithmetic-toy@1",), engine="vllm", max_tokens=64)
    outputs = report.run(config, inputs)
    return [
        Row("sampled", f"{len(first)} responses of at most 256 tokens, start included", speed, "tokens/s"),
        holds("sampled", "equal rows on a second run", first == second),
        holds("sampled", "report measures", bool(outputs.metrics)),
    ]


def colocated(work: Path, size: Size) -> list[Row]:
    """rl with vLLM in the trainer's process, with a tied and an untied head: the check of log-probabilities."""
    rows = []
    for tied in (True, False):
        directory = work / ("tied" if tied else "untied")
        directory.mkdir()
        training.prepare(directory, size.small)
        _tie(directory, tied=tied)
        rows += _of_rl(directory, size, "tied head" if tied else "untied head")
    return rows


def _tie(directory: Path, *, tied: bool) -> None:
    """Give the prepared checkpoint an output head of its own, or that of its embedding."""
    from transformers import AutoModelForCausalLM

    if tied:
        return
    path = directory / "initial" / "output"
    model = AutoModelForCausalLM.from_pretrained(path)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = type(model.lm_head.weight)(model.lm_head.weight.detach().clone())
    model.save_pretrained(path)
    settings = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(settings | {"tie_word_embeddings": False}))


def _of_rl(directory: Path, size: Size, name: str) -> list[Row]:
    logged: list[dict[str, float]] = []
    inputs = replace(rl_inputs(directory, "vllm"), log=lambda numbers, step=None: logged.append(numbers))
    peak_gib()
    config = size.small.rl.model_copy(update={"engine": "vllm", "learning_rate": 1e-4, "steps": 4})
    rl.run(config, inputs)
    probes = [numbers for numbers in logged if "train/sampler/difference_mean" in numbers]
    return [
        at_most("colocated", f"{name}: log-probabilities, mean, worst step",
                max(numbers["train/sampler/difference_mean"] for numbers in probes), 0.05, "nats"),
        holds("colocated", f"{name}: it moves with training", probes[-1]["train/sampler/moved"] > 0),
        Row("colocated", f"{name}: a step", probes[-1]["train/step_time"], "s"),
        Row("colocated", f"{name}: peak of the trainer", peak_gib(), "GiB"),
    ]  # fmt: skip


def ratio(work: Path, size: Size) -> list[Row]:
    """A step of rl at 512 tokens by transformers over one by vLLM."""
    scale = replace(size.large, rl=size.large.rl.model_copy(update={"steps": 3}))
    training.prepare(work, scale)
    by_transformers = training.stage_rl(work, scale)
    with variables(STILLHOUSE_ROLLOUT_MEMORY=os.environ.get("STILLHOUSE_ROLLOUT_MEMORY", "0.3")):
        by_vllm = training.stage_rl(work, training.with_engine(scale, "vllm"))
    quotient = by_transformers.step_s / by_vllm.step_s
    measured = at_least("ratio", "step by transformers over step by vLLM, 512 tokens", quotient, 5.0)
    return [measured if ON_GPU else Row("ratio", measured.what, quotient)]
