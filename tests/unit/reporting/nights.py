"""Runs of a profile ``toy``, their manifests and records published by hand: no stage is run."""

import hashlib
from datetime import UTC, datetime, timedelta

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import store
from stillhouse.artifacts.manifest import File, Link, Manifest, ModelLink, Provenance
from stillhouse.benchmarks.intervals import Interval
from stillhouse.registry.gate import DecisionRecord, Evidence, GateDecision
from stillhouse.reporting.run_record import DagRun, RunTask
from tests.unit.benchmarks.outcome_records import outcomes

START = datetime(2026, 11, 24, 2, tzinfo=UTC)
PAGE = b"<p>page</p>"
HUB = "hf://org/student@main"
CHAMPION = GateDecision(
    "champion", "no benchmark is worse", "3", (Evidence("arithmetic", 1, Interval(0.05, 0.01, 0.09), 0.025, "no worse"),)
)
REJECTED = GateDecision("candidate", "worse than champion version 3 on arithmetic/round_1", "3")


def _file(path, count) -> File:
    """A page's manifest entry is true; nobody reads the other files."""
    if path.endswith(".html"):
        return File(sha256=hashlib.sha256(PAGE).hexdigest(), bytes=len(PAGE))
    return File(sha256="0", bytes=1, rows=count)


def publish(uri, minute, night, *, minutes=1, inputs=(), files=None, rows=10, metrics=None, records=(), **changes) -> str:
    """An artifact that was finished ``minute`` minutes into its night and took ``minutes``."""
    finished = START + timedelta(days=night, minutes=minute)
    listed = (files or {"part-00000.parquet": rows}) | {record.FILE: None for record in records}
    for record in records:
        store.store_of(uri).write(f"{uri}/{record.FILE}", record.model_dump_json().encode())
    for name in listed:
        if name.endswith(".html"):
            store.store_of(uri).write(f"{uri}/{name}", PAGE)
    links: dict[str, list[Link]] = {}
    for key, of in inputs:
        links.setdefault(key, []).append(Link(uri=of, fingerprint=manifests.load(of).fingerprint))
    manifest = Manifest(
        stage=uri.split("/")[-3], version=uri.rsplit("/", 1)[-1], fingerprint=f"{abs(hash(uri)):016x}"[:16], config={},
        inputs=links,
        files={path: _file(path, count) for path, count in listed.items()}, metrics=metrics or {},
        provenance=Provenance(
            commit="c", image="", argv=[], started=finished - timedelta(minutes=minutes), finished=finished, host="h",
        ), **changes,
    )  # fmt: skip
    manifests.publish(uri, manifest)
    return uri


def publish_night(root, version, night=0, *, passed=(80, 120), protocol="p1", decision=CHAMPION, promoted="4") -> DagRun:
    """One run: responses on four GPUs, a student of the hub, sft, two reports, a registration."""
    at = root if isinstance(root, str) else root.as_uri()

    def uri(stage, name):
        return f"{at}/{stage}/{name}/{version}"

    student = ModelLink(uri="hf://org/student@c0ffee", fingerprint="f00d", kind="hub", named=HUB)
    questions = publish(uri("questions", "toy"), 1, night, rows=100, dropped={"duplicate": 7})
    sampled = {"n_responses": 200.0, "n_completion_tokens": 4000.0, "n_sampled": 50.0}
    responses = publish(
        uri("responses", "toy-large"), 4, night, minutes=3, inputs=[("questions", questions)], rows=200, metrics=sampled
    )
    verified = publish(
        uri("verified", "toy"), 5, night, inputs=[("responses", responses)], rows=200,
        metrics={"n_correct": 90.0, "tokens_per_correct": 44.5},
    )  # fmt: skip
    selected = publish(uri("selected", "toy"), 6, night, inputs=[("verified", verified)], rows=80)
    weights = {"model.safetensors": None}
    trained = publish(
        uri("sft", "toy-1"), 9, night, minutes=3, inputs=[("selected", selected)], files=weights,
        metrics={"train/num_tokens": 1e6}, models={"checkpoint": student},
    )  # fmt: skip
    of_base, of_sft = (outcomes(count, protocol=protocol) for count in passed)
    rows = {"arithmetic/responses/part-00000.parquet": 200, "report.html": None}
    lengths = {"arithmetic/p1/round_1/tokens": 5.0}
    base = publish(uri("report", "toy-base"), 10, night, files=rows, records=[of_base], metrics=lengths)
    report = publish(
        uri("report", "toy-sft"), 11, night, inputs=[("checkpoint", trained)], files=rows, records=[of_sft], metrics=lengths
    )
    record = DecisionRecord(model="house-toy", model_version=promoted, decision=decision)
    registered = publish(
        uri("registry", "toy"), 12, night, inputs=[("report", report)], files={"report.html": None}, records=[record]
    )
    tasks = {
        "questions": RunTask(uri=questions), "responses-large": RunTask(uri=responses, gpus=4), "verified": RunTask(uri=verified),
        "selected": RunTask(uri=selected), "sft-1": RunTask(uri=trained, gpus=2),
        "report-base": RunTask(uri=base, role="base"), "report-sft": RunTask(uri=report, role="sft"),
        "registry": RunTask(uri=registered),
    }  # fmt: skip
    return DagRun(
        profile="toy", run=version, pipeline="retrain", paper="arXiv 1", dag_run="manual__1", airflow="http://a/dags/toy/runs/1",
        models={"student": HUB, "small": "task:sft-1"}, tasks=tasks,
    )  # fmt: skip
