"""What a run will do, before it does it: rows, samples, tokens, GPU-hours and bytes by task, and what it will reuse.

Rates are measured on the newest artifact of the same stage and name in the store; where there is none, they are assumptions, and
the plan says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stillhouse import stages
from stillhouse.api import profile_checks
from stillhouse.api.estimates import Estimate, PlannedTask, estimate_of, parameters
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import reuse
from stillhouse.artifacts.manifest import Manifest
from stillhouse.errors import BadConfig
from stillhouse.execution import profiles
from stillhouse.execution.pipelines import PIPELINES
from stillhouse.execution.recipes import resolve_values
from stillhouse.vocabulary.text import aligned

COMPARED = ("rows", "tokens", "hours", "bytes")
"""What a plan says of a task and its artifact can answer."""
TOKENS = ("n_completion_tokens", "train/num_tokens")
"""Metrics of artifacts that count the tokens which a model wrote or read."""


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

    def expected(self) -> list[dict[str, Any]]:
        """What each task that will really run is expected to make, for ``took``."""
        return [
            {
                "task": one.task, "uri": one.uri, "rows": one.rows or 0, "tokens": one.tokens, "bytes": one.bytes,
                "hours": one.gpu_hours + one.cpu_hours,
            }
            for one in self.tasks if one.uri and not one.reused
        ]  # fmt: skip

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
        estimate = estimate_of(task, estimates, earlier, assumed, size)
        estimates[task.name] = replace(estimate, uri=uri, reused=_is_there(uri, fingerprints[task.name]))
    return Plan(profile, list(estimates.values()))


@dataclass(frozen=True)
class Taken:
    """What the tasks of a run took, beside what was expected."""

    expected: Sequence[Mapping[str, Any]]
    """As ``Plan.expected`` has it."""
    real: Mapping[str, Mapping[str, float]]
    """By task that made its artifact and quantity; tokens only where the artifact counts them."""

    def totals(self) -> dict[str, float]:
        """The sums that are kept as metrics of the run: ``took/…`` beside ``plan/…``."""
        totals = {"took/artifacts": float(len(self.real))}
        for name in COMPARED:
            totals[f"plan/{name}"] = float(sum(planned[name] for planned in self.expected))
            totals[f"took/{name}"] = sum(values.get(name, 0.0) for values in self.real.values())
        return totals

    def as_text(self) -> str:
        """A table for terminals and logs."""
        head = ["task", *(f"{name}: {what}" for name in COMPARED for what in ("planned", "taken")), ""]
        made = [(planned, self.real[planned["task"]]) for planned in self.expected if planned["task"] in self.real]
        rows = [[pair[0]["task"], *(_number(name, of.get(name)) for name in COMPARED for of in pair), ""] for pair in made]
        return aligned([head, *rows])


def took(expected: Sequence[Mapping[str, Any]]) -> Taken:
    """What the artifacts of a run took that it made itself: none that point to another version's files. See ``Plan.expected``."""
    real: dict[str, dict[str, float]] = {}
    for planned in expected:
        manifest = manifests.find(planned["uri"])
        if manifest is None or any(file.at for file in manifest.files.values()):
            continue
        tokens = next((manifest.metrics[name] for name in TOKENS if name in manifest.metrics), None)
        real[planned["task"]] = {
            "rows": float(manifest.rows), "hours": manifests.seconds_in_all(planned["uri"], manifest) / 3600,
            "bytes": float(sum(file.bytes for file in manifest.files.values())),
        } | ({} if tokens is None else {"tokens": tokens})  # fmt: skip
    return Taken(expected, real)


def _number(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.2f}" if name == "hours" else f"{value:,.0f}"


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


def _row(one: Estimate) -> list[str]:
    def count(value: float | None) -> str:
        return f"{value:,.0f}" if value else ""

    hours = [f"{value:,.2f}" if value else "" for value in (one.gpu_hours, one.cpu_hours)]
    return [
        one.task, count(one.rows), count(one.samples), count(one.tokens), *hours, count(one.bytes),
        "already there" if one.reused else one.basis,
    ]  # fmt: skip
