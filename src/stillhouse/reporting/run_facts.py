"""The artifacts of one run -> its record: scores by role, gains, rows, cost, what was reused, what was decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import naming, records, store
from stillhouse.artifacts.manifest import Manifest
from stillhouse.benchmarks.outcomes import BenchmarkOutcome, Outcomes, read_outcomes, scores
from stillhouse.benchmarks.paired import differences
from stillhouse.errors import StillhouseError
from stillhouse.registry.gate import DecisionRecord
from stillhouse.reporting.run_record import BASE, DagRun, RunCost, RunGain, RunRecord, RunScore, RunTask
from stillhouse.vocabulary.masking import masked, one_line

TASK = "task:"
"""Begins the reference of a model that a task of the run makes."""


@dataclass(frozen=True)
class MadeArtifact:
    """An artifact of the run, as it was read."""

    task: RunTask
    manifest: Manifest

    @cached_property
    def seconds(self) -> float:
        """What all its shards took together; its own time if one process made it."""
        return manifests.seconds_in_all(self.task.uri, self.manifest)

    def origin(self, since: datetime | None) -> str | None:
        """NAME/VERSION that already held the result, if it was not made in this run, which began at ``since``."""
        if self.manifest.same_as is not None:
            return self.manifest.same_as
        was_there = since is not None and self.manifest.provenance.finished < since
        return naming.version_of(store.absolute(self.task.uri)) if was_there else None


@dataclass(frozen=True)
class RunArtifacts:
    """The published artifacts of a run, by task."""

    by_task: dict[str, MadeArtifact] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def of(self, *stages: str) -> dict[str, MadeArtifact]:
        """Those of some stages."""
        return {name: one for name, one in self.by_task.items() if one.manifest.stage in stages}


def read(run: DagRun) -> RunArtifacts:
    """Read the manifests of a run. A task that published nothing is left out; one whose manifest is damaged is a problem."""
    artifacts = RunArtifacts()
    for name, task in run.tasks.items():
        try:
            manifest = manifests.find(task.uri)
        except StillhouseError as error:
            artifacts.problems.append(one_line(error))
            continue
        if manifest is not None:
            artifacts.by_task[name] = MadeArtifact(task, manifest)
    return artifacts


def record(run: DagRun, artifacts: RunArtifacts, since: datetime | None = None, mlflow: str = "") -> RunRecord:
    """The record of a run. What was published before ``since`` counts as reused; None counts it as made by this run."""
    problems = list(artifacts.problems)
    outcomes = _outcomes(artifacts, problems)
    decided = _decision(artifacts, problems)
    made = {name: one for name, one in artifacts.by_task.items() if one.origin(since) is None}
    return RunRecord(
        profile=run.profile, run=run.run, pipeline=run.pipeline, paper=run.paper, dag_run=run.dag_run, airflow=run.airflow,
        mlflow=mlflow,
        finished=max((one.manifest.provenance.finished for one in artifacts.by_task.values()), default=None),
        scores=[score for role, measured in outcomes.items() for score in _scores(role, measured)],
        gains=_gains(outcomes), final=_final(artifacts, outcomes),
        model=decided.model if decided else "", model_version=decided.model_version if decided else "",
        decision=decided.decision if decided else None,
        rows={name: one.manifest.rows for name, one in artifacts.by_task.items() if _has_rows(one.manifest)},
        dropped={name: sum(one.manifest.dropped.values()) for name, one in artifacts.by_task.items() if one.manifest.dropped},
        cost=_cost(made, artifacts),
        made={name: one.manifest.fingerprint for name, one in made.items()},
        reused={name: origin for name, one in artifacts.by_task.items() if (origin := one.origin(since)) is not None},
        pins=_pins(run.models, artifacts), page=_page(artifacts), problems=problems,
    )  # fmt: skip


def _has_rows(manifest: Manifest) -> bool:
    return manifest.stage != "report" and any(file.rows is not None for file in manifest.files.values())


def _outcomes(artifacts: RunArtifacts, problems: list[str]) -> dict[str, Outcomes]:
    """Role -> its outcomes on all benchmarks, whichever reports they lie in; the base first, then in the order of training."""
    by_role: dict[str, dict[str, BenchmarkOutcome]] = {}
    reports = artifacts.of("report")
    for name in sorted(reports, key=lambda name: _trained_at(reports[name], artifacts)):
        one = reports[name]
        role = one.task.role or name
        try:
            by_role.setdefault(role, {}).update(read_outcomes(one.task.uri).benchmarks)
        except StillhouseError as error:
            problems.append(one_line(error))
    ordered = sorted(by_role, key=lambda role: role != BASE)
    return {role: Outcomes(benchmarks=by_role[role]) for role in ordered if by_role[role]}


def _trained_at(report: MadeArtifact, artifacts: RunArtifacts) -> datetime:
    """When the checkpoint of a report was made in this run; long ago for one from elsewhere."""
    measured = {_place(link.uri) for link in report.manifest.inputs.get("checkpoint", ())}
    trained = [one.manifest for one in artifacts.of("sft", "rl").values() if _place(one.task.uri) in measured]
    return trained[0].provenance.finished if trained else manifests.LONG_AGO


def _place(uri: str) -> str:
    """STAGE/NAME/VERSION, by which an artifact is found again in a store that was moved."""
    return "/".join(uri.rstrip("/").split("/")[-3:])


def _final(artifacts: RunArtifacts, outcomes: Mapping[str, Outcomes]) -> str:
    """The role of the checkpoint that was registered; without a registry, of the one measured last."""
    reports = {_place(one.task.uri): one.task.role or name for name, one in artifacts.of("report").items()}
    for one in artifacts.of("registry").values():
        for link in one.manifest.inputs.get("report", ()):
            if _place(link.uri) in reports:
                return reports[_place(link.uri)]
    return next(reversed(list(outcomes)), "")


def _scores(role: str, outcomes: Outcomes) -> list[RunScore]:
    return [
        RunScore(
            role, score.benchmark, score.number, score.measured, score.questions, score.tokens, score.protocol,
            {"samples": settings.samples, **settings.sampling},
        )
        for score in scores(role, outcomes)
        if (settings := outcomes.benchmarks[score.benchmark].settings)
    ]  # fmt: skip


def _gains(outcomes: Mapping[str, Outcomes]) -> list[RunGain]:
    """Every role against the base, paired, on the benchmarks that both measured under one protocol."""
    base = outcomes.get(BASE)
    return [
        RunGain(role, difference.benchmark, difference.number, difference.interval)
        for role, measured in outcomes.items()
        if base is not None and role != BASE
        for difference in differences(measured, base)
    ]


def _decision(artifacts: RunArtifacts, problems: list[str]) -> DecisionRecord | None:
    for one in artifacts.of("registry").values():
        try:
            return records.read(DecisionRecord, one.task.uri)
        except StillhouseError as error:
            problems.append(one_line(error))
    return None


def _cost(made: Mapping[str, MadeArtifact], artifacts: RunArtifacts) -> RunCost:
    spans = [(one.manifest.provenance.started, one.manifest.provenance.finished) for one in made.values()]
    wall = (max(end for _, end in spans) - min(start for start, _ in spans)).total_seconds() if spans else 0.0
    gpu_seconds = {name: one.seconds * one.task.gpus for name, one in made.items()}
    with_gpus = any(one.task.gpus for one in artifacts.by_task.values())
    verified = artifacts.of("verified").values()
    n_verified = int(sum(one.manifest.metrics.get("n_correct", 0.0) for one in verified))
    n_new = sum(one.manifest.metrics.get("n_correct", 0.0) for name, one in artifacts.of("verified").items() if name in made)
    answering = sum(seconds for name, seconds in gpu_seconds.items() if made[name].manifest.stage in {"responses", "verified"})
    per_correct = [value for one in verified if (value := one.manifest.metrics.get("tokens_per_correct")) is not None]
    return RunCost(
        task_hours=sum(one.seconds for one in made.values()) / 3600,
        gpu_hours=sum(gpu_seconds.values()) / 3600 if with_gpus else None,
        wall_hours=wall / 3600,
        tokens_sampled=sum(_tokens_sampled(one) for one in made.values()),
        tokens_trained=sum(one.manifest.metrics.get("train/num_tokens", 0.0) for one in made.values()),
        n_verified=n_verified,
        tokens_per_verified=per_correct[0] if len(per_correct) == 1 else None,
        gpu_seconds_per_verified=answering / n_new if answering and n_new else None,
    )


def _tokens_sampled(one: MadeArtifact) -> float:
    """Tokens that models wrote for an artifact, without those of responses that it took over."""
    metrics = one.manifest.metrics
    if one.manifest.stage == "responses":
        total, new = metrics.get("n_responses", 0.0), metrics.get("n_sampled")
        tokens = metrics.get("n_completion_tokens", 0.0)
        return tokens * new / total if new is not None and total else tokens
    if one.manifest.stage != "report":
        return 0.0
    parts = [name for name in one.manifest.files if "/responses/" in name]
    rounds = [name.rpartition("/")[0] for name in metrics if name.endswith("/tokens")]
    rows = sum(one.manifest.files[name].rows or 0 for name in parts)
    return rows * sum(metrics[f"{name}/tokens"] for name in rounds) / len(rounds) if rounds else 0.0


def _pins(models: Mapping[str, str], artifacts: RunArtifacts) -> dict[str, str]:
    """Role -> the model that played it, and its fingerprint; roles whose model no artifact names are left out."""
    used = {link.named: link for one in artifacts.by_task.values() for link in one.manifest.models.values()}
    pins = {}
    for role, reference in models.items():
        task = artifacts.by_task.get(reference.removeprefix(TASK)) if reference.startswith(TASK) else None
        if task is not None:
            held = task.manifest.same_as or naming.version_of(store.absolute(task.task.uri))
            pins[role] = f"{held} {task.manifest.fingerprint}"
        elif reference in used:
            pins[role] = masked(f"{used[reference].uri} {used[reference].fingerprint}")
        elif (linked := _artifact_fingerprint(reference, artifacts)) is not None:
            pins[role] = masked(f"{reference} {linked}")
    return pins


def _artifact_fingerprint(uri: str, artifacts: RunArtifacts) -> str | None:
    """The fingerprint of a model that is an artifact, as the inputs of the run name it."""
    links = (link for one in artifacts.by_task.values() for several in one.manifest.inputs.values() for link in several)
    return next((link.fingerprint for link in links if link.uri.rstrip("/") == uri.rstrip("/")), None)


def _page(artifacts: RunArtifacts) -> str:
    """The URI of the page that sums the run up: the registry's, else a comparison's, else that of the last report."""
    for stage in ("registry", "comparison", "report"):
        for one in reversed(artifacts.of(stage).values()):
            if pages := pages_of(one):
                return store.join(*manifests.location(store.absolute(one.task.uri), one.manifest, pages[0]))
    return ""


def pages_of(one: MadeArtifact) -> Sequence[str]:
    """The names of an artifact's pages."""
    return sorted(name for name in one.manifest.files if name.endswith(".html") and "/" not in name)
