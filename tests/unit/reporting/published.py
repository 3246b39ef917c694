"""A run's manifests, published by hand: no stage is run."""

from datetime import UTC, datetime, timedelta

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.manifest import File, Link, Manifest, Provenance

START = datetime(2026, 11, 24, tzinfo=UTC)


def publish(root, stage, name, minute, inputs=(), rows=10, dropped=None, metrics=None, files=None) -> str:
    """An artifact that took a minute and was finished ``minute`` minutes into the run; ``inputs`` are (name, uri) pairs."""
    uri = f"{root.as_uri()}/{stage}/{name}/demo"
    links: dict[str, list[Link]] = {}
    for key, each in inputs:
        links.setdefault(key, []).append(Link(uri=each, fingerprint=manifests.load(each).fingerprint))
    finished = START + timedelta(minutes=minute)
    listed = files or {"part-00000.parquet": rows}
    manifest = Manifest(
        stage=stage, version="demo", fingerprint=f"{abs(hash(uri)):016x}"[:16], config={}, inputs=links,
        files={path: File(sha256="0", bytes=1, rows=count) for path, count in listed.items()}, metrics=metrics or {},
        dropped=dropped or {},
        provenance=Provenance(
            commit="c", image="", argv=[], started=finished - timedelta(minutes=1), finished=finished, host="h", mlflow_run_id=None
        ),
    )  # fmt: skip
    manifests.publish(uri, manifest)
    return uri


def publish_report(root, name, minute, checkpoint, scores) -> str:
    """A report of benchmark ``arithmetic`` on 25 questions; ``scores`` by round: (mean, low, high)."""
    metrics = {}
    for number, (mean, low, high) in enumerate(scores, start=1):
        numbers = {"pass_at_1": mean, "low": low, "high": high, "tokens": 12.5, "stop_ratio": 0.75}
        metrics |= {f"arithmetic/0a1b2c3d/round_{number}/{name}": value for name, value in numbers.items()}
    metrics |= {"arithmetic/0a1b2c3d/round_2/wrong_to_correct": 3.0, "arithmetic/0a1b2c3d/n_unverified": 0.0}
    files = {"arithmetic/questions/part-00000.parquet": 25, "arithmetic/responses/part-00000.parquet": 50, "report.html": None}
    return publish(root, "report", name, minute, [("checkpoint", checkpoint)], metrics=metrics, files=files)


def publish_run(root) -> tuple[str, str, list[str]]:
    """Questions to a report of two checkpoints: the last report's URI, its checkpoint's, and the other reports'."""
    questions = publish(root, "questions", "toy", 1, rows=100, dropped={"duplicate": 7, "contaminated": 2})
    metrics = {
        "n_level_1": 60.0, "n_level_2": 30.0, "n_level_3": 10.0, "n_never_solved": 4.0, "pass_rate/small": 0.4,
        "n_pass_rate/small/0": 40.0, "n_pass_rate/small/0.5": 20.0, "n_pass_rate/small/1": 40.0,
        "n_pass_rate/hub/Large-7B/0.25": 10.0, "n_pass_rate/hub/Large-7B/1": 90.0,
    }  # fmt: skip
    graded = publish(root, "graded", "toy", 2, [("questions", questions)], rows=96, metrics=metrics)
    selected = publish(root, "selected", "toy", 3, [("graded", graded), ("questions", questions)], rows=80)
    base = publish(root, "sft", "toy-base", 4, rows=0, files={"model.safetensors": None})
    trained = publish(root, "sft", "toy-1", 5, [("selected", selected), ("checkpoint", base)], files={"model.safetensors": None})
    last = publish_report(root, "toy-1", 6, trained, [(0.6, 0.5, 0.7), (0.65, 0.55, 0.75)])
    # The first checkpoint's report is finished last: it waited for a free slot.
    first = publish_report(root, "toy-base", 9, base, [(0.1, 0.05, 0.2)])
    return last, trained, [first]
