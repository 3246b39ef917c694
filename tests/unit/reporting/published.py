"""A run's manifests, published by hand: no stage is run."""

from datetime import UTC, datetime, timedelta

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import store
from stillhouse.artifacts.manifest import File, Link, Manifest, Provenance
from stillhouse.benchmarks.intervals import Interval
from stillhouse.benchmarks.outcomes import Outcomes
from stillhouse.grading.difficulty import DifficultyRecord
from tests.unit.benchmarks.outcome_records import benchmark_outcome, round_outcome

START = datetime(2026, 11, 24, tzinfo=UTC)


def publish(root, stage, name, minute, inputs=(), rows=10, dropped=None, files=None, records=()) -> str:
    """An artifact that took a minute and was finished ``minute`` minutes into the run; ``inputs`` are (name, uri) pairs."""
    uri = f"{root.as_uri()}/{stage}/{name}/demo"
    links: dict[str, list[Link]] = {}
    for key, input_uri in inputs:
        links.setdefault(key, []).append(Link(uri=input_uri, fingerprint=manifests.load(input_uri).fingerprint))
    finished = START + timedelta(minutes=minute)
    listed = (files or {"part-00000.parquet": rows}) | {record.FILE: None for record in records}
    for record in records:
        store.store_of(uri).write(f"{uri}/{record.FILE}", record.model_dump_json().encode())
    manifest = Manifest(
        stage=stage, version="demo", fingerprint=f"{abs(hash(uri)):016x}"[:16], config={}, inputs=links,
        files={path: File(sha256="0", bytes=1, rows=count) for path, count in listed.items()}, metrics={},
        dropped=dropped or {},
        provenance=Provenance(
            commit="c", image="", argv=[], started=finished - timedelta(minutes=1), finished=finished, host="h", mlflow_run_id=None
        ),
    )  # fmt: skip
    manifests.publish(uri, manifest)
    return uri


def publish_report(root, name, minute, checkpoint, scores) -> str:
    """A report of benchmark ``arithmetic`` on 25 questions; ``scores`` by round: (mean, low, high)."""
    rounds = {
        number: round_outcome({}, Interval(*score), tokens=12.5).model_copy(update={"stop_ratio": 0.75})
        for number, score in enumerate(scores, start=1)
    }
    outcomes = Outcomes(benchmarks={"arithmetic": benchmark_outcome(rounds, "0a1b2c3d4e5f6789", n_questions=25)})
    files = {"arithmetic/questions/part-00000.parquet": 25, "arithmetic/responses/part-00000.parquet": 50, "report.html": None}
    return publish(
        root, "report", name, minute, [("checkpoint", checkpoint)] if checkpoint else [], files=files, records=[outcomes]
    )


def publish_run(root) -> tuple[str, str, list[str]]:
    """Questions to a report of two checkpoints: the last report's URI, its checkpoint's, and the other reports'."""
    questions = publish(root, "questions", "toy", 1, rows=100, dropped={"duplicate": 7, "contaminated": 2})
    difficulty = DifficultyRecord(
        pass_rates={"small": {"0": 40, "0.5": 20, "1": 40}, "hub/Large-7B": {"0.25": 10, "1": 90}},
        levels={"1": 60, "2": 30, "3": 10},
    )
    graded = publish(root, "graded", "toy", 2, [("questions", questions)], rows=96, records=[difficulty])
    selected = publish(root, "selected", "toy", 3, [("graded", graded), ("questions", questions)], rows=80)
    base = publish(root, "sft", "toy-base", 4, rows=0, files={"model.safetensors": None})
    trained = publish(root, "sft", "toy-1", 5, [("selected", selected), ("checkpoint", base)], files={"model.safetensors": None})
    last = publish_report(root, "toy-1", 6, trained, [(0.6, 0.5, 0.7), (0.65, 0.55, 0.75)])
    # The first checkpoint's report is finished last: it waited for a free slot.
    first = publish_report(root, "toy-base", 9, base, [(0.1, 0.05, 0.2)])
    return last, trained, [first]
