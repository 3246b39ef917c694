"""A run's record -> what MLflow compares: params, metrics, tags, inputs and outputs of the DAG run's own run, above its stages'."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from stillhouse.artifacts import integrity, store
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.benchmarks.intervals import Interval
from stillhouse.errors import StillhouseError
from stillhouse.execution import tracking
from stillhouse.execution.tracked_run import say
from stillhouse.reporting import leaderboard
from stillhouse.reporting.run_facts import RunArtifacts, pages_of
from stillhouse.reporting.run_record import BASE, RunRecord
from stillhouse.vocabulary import metric_names
from stillhouse.vocabulary.masking import masked, one_line

RUN_PAGE, LEADERBOARD = "run.html", "leaderboard.html"
DIGEST_CHARS = 36
"""The longest digest of a data set that MLflow takes."""
TRAINED = ("sft", "rl")


def log(run_id: str, record: RunRecord, artifacts: RunArtifacts, known: Sequence[RunRecord]) -> None:
    """Add the record to the run ``run_id``, which goes on: its orchestrator ends it. ``known``: all runs of the profile.

    Raises TrackingRefused.
    """
    with scratch_directory() as scratch, tracking.amended(run_id) as run:
        if not isinstance(run, tracking.Tracked):
            return
        run.record({"kind": "params", "values": params(record)})
        run.log(metrics(record))
        run.record({"kind": "tags", "values": tags(record)})
        run.record({"kind": "note", "text": description(record, known)})
        if datasets := _inputs(artifacts):
            run.record({"kind": "inputs", "datasets": datasets})
        if models := _outputs(artifacts):
            run.record({"kind": "outputs", "models": models})
        run.text(RunRecord.FILE, record.model_dump_json(indent=1))
        leaderboard.write(scratch / LEADERBOARD, record.profile, known, leaderboard.MLFLOW)
        run.keep([scratch / LEADERBOARD, *_page(artifacts, scratch)])


def params(record: RunRecord) -> dict[str, str]:
    """The models with their pins, and the protocol of each benchmark: what its scores compare by."""
    pins = {f"pin/{role}": masked(pin) for role, pin in record.pins.items()}
    return pins | {f"protocol/{score.benchmark}": score.protocol[:8] for score in record.scores}


def metrics(record: RunRecord) -> dict[str, float]:
    """Every number of the record, by names that hold no checkpoint's own name."""
    values = dict(_scores(record))
    values |= {metric_names.rows(name): float(count) for name, count in record.rows.items()}
    values |= {metric_names.dropped(name): float(count) for name, count in record.dropped.items()}
    n_made, n_reused = len(record.made), len(record.reused)
    cost = record.cost
    optional = {
        metric_names.GPU_HOURS: cost.gpu_hours, metric_names.PER_VERIFIED["tokens"]: cost.tokens_per_verified,
        metric_names.PER_VERIFIED["gpu_seconds"]: cost.gpu_seconds_per_verified,
    }  # fmt: skip
    values |= {
        metric_names.TASK_HOURS: cost.task_hours, metric_names.WALL_HOURS: cost.wall_hours,
        metric_names.TOKENS: cost.tokens_sampled, metric_names.TRAINED_TOKENS: cost.tokens_trained,
        metric_names.MADE_TASKS: float(n_made), metric_names.REUSED_TASKS: float(n_reused),
        metric_names.REUSED_SHARE: n_reused / max(1, n_made + n_reused),
    }  # fmt: skip
    return values | {name: value for name, value in optional.items() if value is not None}


def tags(record: RunRecord) -> dict[str, str]:
    """What runs are filtered and grouped by."""
    values = {"reused": "all" if record.is_all_reused else "some" if record.reused else "nothing"}
    if origins := sorted(set(record.reused.values())):
        values["reused_from"] = ", ".join(origins)[:5000]
    if record.decision is None:
        return values
    values |= {"decision": record.decision.rank, "decision.why": record.decision.why, "model": record.model}
    values["model.version"] = record.model_version
    if (champion := record.model_version if record.is_champion else record.decision.against) is not None:
        values["champion.version"] = champion
    return values


def description(record: RunRecord, known: Sequence[RunRecord] = ()) -> str:
    """The run in a few sentences, as Markdown, with links to the runs that made what it reused."""
    lines = [_what_was_made(record, {other.run: other.mlflow for other in known if other.mlflow})]
    if record.decision is not None:
        lines.append(f"{record.model} version {record.model_version}: **{record.decision.rank}**, {record.decision.why}.")
    best = [score for score in record.scores if score.role == record.final]
    lines += [
        f"{score.benchmark}, round {score.number}: {record.final} {score.measured.mean:.3f} "
        f"[{score.measured.low:.3f}, {score.measured.high:.3f}]{_gain(record, score.benchmark, score.number)}."
        for score in best
    ]
    links = [("run in Airflow", record.airflow)] if record.airflow else []
    lines.append(" · ".join(f"[{name}]({url})" for name, url in links))
    lines.append(f"Artifacts: `{RUN_PAGE}` is the run's page, `{LEADERBOARD}` compares all runs of {record.profile}.")
    return masked("\n\n".join(filter(None, lines)))


def _what_was_made(record: RunRecord, pages: Mapping[str, str]) -> str:
    n_made, n_reused = len(record.made), len(record.reused)
    versions = sorted({origin.rpartition("/")[2] for origin in record.reused.values()})
    origins = ", ".join(f"[{version}]({pages[version]})" if version in pages else version for version in versions)
    if record.is_all_reused:
        return f"**Nothing new**: all {n_reused} artifacts were already there, in version {origins}."
    reused = f", {n_reused} were already there (version {origins})" if n_reused else ""
    return f"{n_made} artifacts were made{reused}, in {record.cost.task_hours:.2f} hours of tasks."


def _gain(record: RunRecord, benchmark: str, number: int) -> str:
    for gain in record.gains:
        if (gain.role, gain.benchmark, gain.number) == (record.final, benchmark, number):
            interval = gain.difference
            return f", {interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}] over {BASE}, paired"
    return ""


def _scores(record: RunRecord) -> Iterator[tuple[str, float]]:
    for score in record.scores:
        yield from _ends(metric_names.score(score.benchmark, score.number, score.role), score.measured)
    for gain in record.gains:
        yield from _ends(metric_names.gain_over_base(gain.benchmark, gain.number, gain.role), gain.difference)
    for item in record.decision.evidence if record.decision else ():
        yield from _ends(metric_names.gain_over_champion(item.benchmark, item.number), item.difference)


def _ends(name: str, interval: Interval) -> Iterator[tuple[str, float]]:
    values = (interval.mean, interval.low, interval.high)
    return ((f"{name}/{end}", value) for end, value in zip(metric_names.ENDS, values, strict=True))


def _inputs(artifacts: RunArtifacts) -> list[Mapping[str, str]]:
    """The rows that the run learnt from, as data sets."""
    return [
        {
            "name": name, "digest": one.manifest.fingerprint[-DIGEST_CHARS:], "source": masked(store.absolute(one.task.uri)),
            "context": one.manifest.stage,
        }
        for name, one in artifacts.of("questions", "responses", "selected").items()
    ]  # fmt: skip


def _outputs(artifacts: RunArtifacts) -> list[Mapping[str, str]]:
    """The checkpoints that the run ends up with, by their tasks' names."""
    return [
        {"name": name.replace(".", "-"), "uri": masked(store.absolute(one.task.uri)), "fingerprint": one.manifest.fingerprint}
        for name, one in artifacts.of(*TRAINED).items()
    ]


def _page(artifacts: RunArtifacts, scratch: Path) -> list[Path]:
    """A local copy of the run's page; nothing if no artifact has one that can be read."""
    for stage in ("registry", "comparison"):
        for one in artifacts.of(stage).values():
            for name in pages_of(one)[:1]:
                try:
                    page = integrity.fetch(store.absolute(one.task.uri), scratch, [name]) / name
                except StillhouseError as error:
                    say(f"tracking: the run's page is left out: {one_line(error)}")
                    continue
                return [Path(shutil.copy(page, scratch / RUN_PAGE))]
    return []
