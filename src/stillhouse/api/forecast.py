"""What a run will do, before it does it: rows, samples, tokens, GPU-hours and bytes by task, and what it will reuse.

Rates are measured on the newest artifact of the same stage and name in the store; where there is none, they are assumptions, and
the plan says so.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stillhouse import stages
from stillhouse.api import profile_checks
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import reuse
from stillhouse.artifacts.manifest import Manifest
from stillhouse.benchmarks.definitions import bare_name
from stillhouse.errors import BadConfig
from stillhouse.execution import profiles
from stillhouse.execution.pipelines import PIPELINES
from stillhouse.execution.profiles import Assumptions
from stillhouse.execution.recipes import resolve_values
from stillhouse.vocabulary.text import aligned

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


@dataclass(frozen=True)
class Plan:
    """The estimates of a run, in the order of its tasks."""

    profile: str
    tasks: Sequence[Estimate]

    @property
    def gpu_hours(self) -> float:
        """GPU-hours of the tasks that will really run."""
        return sum(one.gpu_hours for one in self.tasks if not one.reused)

    @property
    def hours(self) -> float:
        """GPU-hours and CPU-hours of the tasks that will really run."""
        return sum(one.gpu_hours + one.cpu_hours for one in self.tasks if not one.reused)

    def totals(self) -> dict[str, float]:
        """The sums that are kept as metrics of the run."""
        new = [one for one in self.tasks if not one.reused]
        return {
            "plan/gpu_hours": self.gpu_hours, "plan/tokens": sum(one.tokens for one in new),
            "plan/samples": float(sum(one.samples for one in new)), "plan/bytes": sum(one.bytes for one in new),
            "plan/reused_tasks": float(len(self.tasks) - len(new)),
        }  # fmt: skip

    def uris(self) -> list[str]:
        """What the tasks will make."""
        return [one.uri for one in self.tasks if one.uri]

    def as_text(self) -> str:
        """A table for terminals and logs."""
        return "\n".join([aligned(self._rows()), *self._notes()])

    def as_markdown(self) -> str:
        """A table for MLflow and Airflow."""
        head, *rows = self._rows()
        lines = [head, ["---"] * len(head), *rows]
        return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", *self._notes()])

    def _rows(self) -> list[list[str]]:
        head = ["task", "rows", "samples", "tokens", "GPU-hours", "CPU-hours", "bytes", "by"]
        return [head, *(_row(one) for one in self.tasks)]

    def _notes(self) -> list[str]:
        reused = [one.task for one in self.tasks if one.reused]
        kept = f"; already there: {', '.join(reused)}" if reused else ""
        return [f"{self.profile}: {self.gpu_hours:,.1f} GPU-hours in {len(self.tasks) - len(reused)} tasks{kept}"]


def plan(profile: str, tasks: Sequence[PlannedTask], store: str | None, version: str) -> Plan:
    """The plan of a run of a profile's tasks, in an order in which each comes after its inputs.

    ``store`` is the root of the artifact store; None plans without measured rates. Raises BadConfig for an unknown profile.
    """
    n_models = sum(max(1, len(task.config.get("models") or {})) for task in tasks if task.stage == "responses")
    annealed = next((task.config.get("anneal_questions") for task in tasks if task.recipe == "selected"), None)
    tasks = [replace(task, n_models=n_models, anneal_questions=annealed) for task in tasks]
    assumed = profiles.load(profile).profile.assume
    models = profiles.load(profile).profile.models
    size = parameters(str(models.get("student", "")))
    estimates: dict[str, Estimate] = {}
    fingerprints: dict[str, str | None] = {}
    for task in tasks:
        name = f"{profile}{task.name.removeprefix(task.stage)}"
        uri = f"{store}/{task.stage}/{name}/{version}" if store else ""
        earlier = _newest(f"{store}/{task.stage}/{name}", version) if store else None
        fingerprints[task.name] = _fingerprint(task, fingerprints)
        estimate = _estimate(task, estimates, earlier, assumed, size)
        estimates[task.name] = replace(estimate, uri=uri, reused=_is_there(uri, fingerprints[task.name]))
    return Plan(profile, list(estimates.values()))


def took(uris: Sequence[str], reused: Sequence[str]) -> dict[str, float]:
    """The hours that the artifacts of a run took, without those that were there before or that point to another version's files."""
    found = [manifests.find(uri) for uri in uris if uri not in reused]
    made = [manifest for manifest in found if manifest is not None and not any(file.at for file in manifest.files.values())]
    return {"took/hours": sum(manifest.seconds for manifest in made) / 3600, "took/artifacts": float(len(made))}


def plan_profile(profile: str, store: str, version: str) -> Plan:
    """The plan of a run as its recipes stand. Raises BadConfig for a profile that is unknown or wrong.

    Without Airflow's DAG this counts one task for each recipe, and those that a pipeline repeats as often as it does.
    """
    folder = profiles.load(profile)
    if wrong := profile_checks.problems(folder.path):
        raise BadConfig("; ".join(wrong))
    copies = PIPELINES[folder.profile.pipeline].copies
    order = sorted(folder.recipes, key=lambda stem: (stages.DATA_PATH.index(stem.partition("-")[0]), stem))
    tasks: list[PlannedTask] = []
    for stem in order:
        stage = stem.partition("-")[0]
        entry, config = stages.entry_of(stage), profile_checks.config_of(folder, stem).model_dump(mode="json")
        place = folder.placement(stem, stage)
        gpus = (place.gpus or 1) * (place.nodes or 1) if entry.model else 0
        inputs = _inputs_by_name(stage, [task.name for task in tasks])
        tasks += [
            PlannedTask(
                stem if not number else f"{stem} ({number + 1})",
                stage,
                stem,
                config,
                gpus,
                config.get("engine") == "openai",
                inputs,
            )
            for number in range(copies.get(stem, 1))
        ]
    return plan(profile, tasks, store.rstrip("/") or None, version)


def _inputs_by_name(stage: str, before: Sequence[str]) -> dict[str, list[str]]:
    """What a stage reads, by the stages' names: a corpus is read by its own selection alone."""
    main = [name for name in before if "corpus" not in name and "summaries" not in name]
    reads = {
        "responses": ["questions"], "verified": ["responses"], "screened": ["responses"], "graded": ["verified"],
        "selected": ["responses"], "sft": ["selected"], "rl": ["selected"],
    }  # fmt: skip
    return {name: [one for one in main if one.partition("-")[0] == name] for name in reads.get(stage, [])}


def parameters(reference: str) -> float:
    """The parameters of a model by its name, such as 32e9 of ``Qwen2.5-32B``; 0 if the name does not say."""
    found = re.findall(r"(?<![\d.])(\d+(?:\.\d+)?)([BM])\b", reference)
    return float(found[-1][0]) * {"B": 1e9, "M": 1e6}[found[-1][1]] if found else 0.0


def _fingerprint(task: PlannedTask, known: Mapping[str, str | None]) -> str | None:
    """The fingerprint that the task's artifact will have; None if an input's is not known, such as that of a model on the hub."""
    made_of = {}
    for name, tasks in sorted(task.inputs.items()):
        inner = [known.get(one) for one in tasks]
        if not inner or None in inner:
            return None
        made_of[name] = [str(one) for one in inner]
    stage = stages.load(task.stage)
    settings = resolve_values(stage.Config, task.config).model_dump(mode="json")
    return manifests.fingerprint(task.stage, getattr(stage, "SCHEMA_VERSION", 1), settings, made_of)


def _is_there(uri: str, fingerprint: str | None) -> bool:
    if not uri or fingerprint is None:
        return False
    return reuse.published(uri, fingerprint) is not None or reuse.find(uri, fingerprint) is not None


def _newest(folder: str, version: str) -> Manifest | None:
    """The artifact published last under this name, in whatever version."""
    latest = manifests.latest(f"{folder}/{version}")
    return manifests.find(latest) if latest else None


def _estimate(
    task: PlannedTask, before: Mapping[str, Estimate], earlier: Manifest | None, assumed: Assumptions, size: float
) -> Estimate:
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


def _row(one: Estimate) -> list[str]:
    def count(value: float | None) -> str:
        return f"{value:,.0f}" if value else ""

    hours = [f"{value:,.2f}" if value else "" for value in (one.gpu_hours, one.cpu_hours)]
    return [
        one.task, count(one.rows), count(one.samples), count(one.tokens), *hours, count(one.bytes),
        "already there" if one.reused else one.basis,
    ]  # fmt: skip
