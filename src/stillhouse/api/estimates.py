"""What one task of a run will do: rows, samples, tokens, hours and bytes, by measured rates or by stated assumptions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stillhouse.artifacts.manifest import Manifest
from stillhouse.benchmarks.definitions import bare_name
from stillhouse.execution.profiles import Assumptions

TOKENS_PER_SAMPLE, TOKENS_PER_GPU_SECOND = 4000, 1500.0
"""Assumed where neither the store nor the profile says: the papers give no mean length of a teacher's response and no speed."""
BYTES_PER_TOKEN = 4.0
BYTES_PER_ROW = 1500.0
FLOPS_PER_GPU_SECOND = 4e14
"""Assumed of a training: two fifths of an H100's 989 TFLOP/s in bf16."""
SECONDS_PER_VERDICT = 0.05
BENCHMARK_QUESTIONS = {
    "aime-2024": 30, "aime-2025": 30, "math-500": 500, "gpqa-diamond": 198, "gsm8k": 1319, "humaneval": 164, "ifeval": 541,
    "mmlu": 14_042, "arithmetic": 250, "arithmetic-1k": 1000, "arithmetic-toy": 24, "word-problems": 60,
}  # fmt: skip
"""Questions of a benchmark; LiveCodeBench depends on its window."""
LIVECODEBENCH_QUESTIONS = 280


@dataclass(frozen=True)
class PlannedTask:
    """A task of a run, as its DAG has it."""

    name: str
    stage: str
    recipe: str
    config: Mapping[str, Any]
    gpus: int = 0
    asks: bool = False
    """Whether it asks models behind endpoints."""
    inputs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Input name -> the tasks that make it."""
    n_models: int = 1
    """Models whose responses it reads."""
    anneal_questions: int | None = None
    """Examples of the annealing split, at most."""


@dataclass(frozen=True)
class Estimate:
    """What one task will do."""

    task: str
    rows: int | None = None
    samples: int = 0
    tokens: float = 0.0
    gpu_hours: float = 0.0
    cpu_hours: float = 0.0
    bytes: float = 0.0
    basis: str = ""
    """By what it was estimated: measured, assumed, or why not at all."""
    uri: str = ""
    reused: bool = False
    """Whether the store has the artifact already, under this version or another."""


def parameters(reference: str) -> float:
    """The parameters of a model by its name, such as 32e9 of ``Qwen2.5-32B``; 0 if the name does not say."""
    found = re.findall(r"(?<![\d.])(\d+(?:\.\d+)?)([BM])\b", reference)
    return float(found[-1][0]) * {"B": 1e9, "M": 1e6}[found[-1][1]] if found else 0.0


def estimate_of(
    task: PlannedTask, before: Mapping[str, Estimate], earlier: Manifest | None, assumed: Assumptions, size: float
) -> Estimate:
    """What a task will do, from what the tasks before it will do and the artifact of an earlier run."""
    rows = _rows_in(task, before)
    if task.stage == "questions":
        return _questions(task, earlier, assumed)
    if task.stage in {"responses", "report"}:
        return _sampling(task, rows, earlier, assumed)
    if task.stage in {"sft", "rl"}:
        return _training(task, rows, earlier, assumed, size)
    if task.stage == "selected":
        return _selection(task, rows)
    if rows is None:
        return Estimate(task.name)
    seconds = _seconds_per_row(earlier)
    basis = "measured" if seconds is not None else "assumed"
    total = rows * (SECONDS_PER_VERDICT if seconds is None else seconds)
    return Estimate(task.name, rows, cpu_hours=total / 3600, bytes=rows * BYTES_PER_ROW / 10, basis=basis)


def _selection(task: PlannedTask, rows: int | None) -> Estimate:
    """At most what may be learnt from: the responses of the one teacher, or of all."""
    config, one_of = task.config, 1
    if config.get("teacher"):
        one_of = max(1, task.n_models)
    most = None if rows is None else rows // one_of
    return Estimate(task.name, most, bytes=(most or 0) * BYTES_PER_ROW, basis="at most" if most else "")


def _rows_in(task: PlannedTask, before: Mapping[str, Estimate]) -> int | None:
    """The rows a task reads: those of its responses, else those of its selected or its questions."""
    for name in ("responses", "verified", "selected", "questions"):
        counts = [before[one].rows for one in task.inputs.get(name, ()) if one in before]
        if counts and None not in counts:
            return sum(count or 0 for count in counts)
    return None


def _questions(task: PlannedTask, earlier: Manifest | None, assumed: Assumptions) -> Estimate:
    counts = [source.get("count") for source in task.config["sources"]]
    most = task.config.get("max_questions")
    if counts and None not in counts:
        rows, basis = sum(counts), "recipe"
    elif earlier is not None:
        rows, basis = earlier.rows, "measured"
    elif assumed.questions:
        rows, basis = assumed.questions, "assumed"
    else:
        return Estimate(task.name, basis="unknown: no source says how many rows it has; set assume.questions")
    rows = min(rows, most) if most else rows
    return Estimate(task.name, rows, bytes=rows * BYTES_PER_ROW, cpu_hours=rows * SECONDS_PER_VERDICT / 3600, basis=basis)


def _sampling(task: PlannedTask, rows: int | None, earlier: Manifest | None, assumed: Assumptions) -> Estimate:
    """Samples from a model: responses to questions, or to benchmarks."""
    config = task.config
    asked = sum(map(_benchmark_questions, config["benchmarks"])) if task.stage == "report" else rows
    if asked is None:
        return Estimate(task.name, basis="unknown: the number of questions is not known")
    samples = asked * config.get("samples", 1) * config.get("rounds", 1) * max(1, len(config.get("models") or {}))
    if config.get("prompt_kind") == "summary":
        samples = asked
    length, rate, basis = _lengths_and_rate(earlier, assumed, int(config["max_tokens"]))
    tokens = samples * length
    hours = tokens / rate / 3600
    return Estimate(
        task.name, None if task.stage == "report" else samples, samples, tokens, gpu_hours=hours if task.gpus or task.asks else 0.0,
        cpu_hours=0.0 if task.gpus or task.asks else hours, bytes=tokens * BYTES_PER_TOKEN, basis=basis,
    )  # fmt: skip


def _lengths_and_rate(earlier: Manifest | None, assumed: Assumptions, longest: int) -> tuple[float, float, str]:
    """Tokens of a sample, tokens per second, and by what."""
    metrics = earlier.metrics if earlier else {}
    samples, tokens, rate = (metrics.get(name, 0.0) for name in ("n_responses", "n_completion_tokens", "tokens_per_s"))
    if samples and tokens and rate:
        return tokens / samples, rate, "measured"
    length = min(assumed.tokens_per_sample or TOKENS_PER_SAMPLE, longest)
    return length, assumed.tokens_per_gpu_second or TOKENS_PER_GPU_SECOND, "assumed"


def _training(task: PlannedTask, rows: int | None, earlier: Manifest | None, assumed: Assumptions, size: float) -> Estimate:
    config, length = task.config, min(assumed.tokens_per_sample or TOKENS_PER_SAMPLE, int(task.config.get("max_tokens", 1 << 20)))
    if task.stage == "rl":
        samples = config["steps"] * config["prompts_per_step"] * config["group_size"]
        writing = samples * length / (assumed.tokens_per_gpu_second or TOKENS_PER_GPU_SECOND) / 3600
    else:
        steps, most = config["max_steps"], task.anneal_questions if config["split"] == "anneal" else None
        examples = min(rows or 0, most or rows or 0) * config["epochs"] if steps is None else steps * config["batch_size"]
        samples, writing = 0, 0.0
        length = min(length, config["max_length"])
        if not examples:
            return Estimate(task.name, basis="unknown: the number of examples is not known" if steps is None else "recipe")
    tokens = float(length * (samples or examples))
    if earlier is not None:
        hours, basis = earlier.seconds / 3600 * max(1, task.gpus), "measured"
    else:
        hours, basis = (
            writing + 6 * size * tokens / FLOPS_PER_GPU_SECOND / 3600,
            "assumed" if size else "assumed, model of unknown size",
        )
    return Estimate(
        task.name, None, int(samples), tokens, gpu_hours=hours if task.gpus else 0.0, cpu_hours=0.0 if task.gpus else hours,
        bytes=2 * size, basis=basis,
    )  # fmt: skip


def _seconds_per_row(earlier: Manifest | None) -> float | None:
    return earlier.seconds / earlier.rows if earlier is not None and earlier.rows else None


def _benchmark_questions(name: str) -> int:
    return BENCHMARK_QUESTIONS.get(bare_name(name), LIVECODEBENCH_QUESTIONS)
