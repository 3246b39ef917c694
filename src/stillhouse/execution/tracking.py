"""MLflow: one run per executed stage, nested under the DAG run's. Tracking never stops a stage.

If ``MLFLOW_TRACKING_URI`` is not set, runs go nowhere. ``MLFLOW_RUN_ID`` names the parent run, ``MLFLOW_EXPERIMENT_NAME`` the
experiment (default ``stillhouse``). Everything a run says goes to a spool on disk first; a thread sends it in order. When the stage
ends, it waits ``STILLHOUSE_TRACKING_PATIENCE_S`` for the rest; the next stage on the same machine, or ``stillhouse sync``,
sends what has not arrived by then. Only a server that refuses the credentials stops a stage, before it begins.
"""

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.artifacts.manifest import ModelLink
from stillhouse.errors import Preempted
from stillhouse.execution import last_lines, live_metrics, mlflow_runs, run_spool, run_status
from stillhouse.execution.delivery import Delivery, deliver_abandoned
from stillhouse.execution.mlflow_models import register, require_server, set_alias, set_version_tag, tags_of
from stillhouse.execution.mlflow_runs import Away, Denied, Refused, refusal
from stillhouse.execution.run_spool import Record, RunSpool
from stillhouse.execution.tracked_run import TABLE, Run, Tracked, Untracked, milliseconds, now_ms, say
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.masking import masked, one_line
from stillhouse.vocabulary.text import shortened

if TYPE_CHECKING:
    from stillhouse.artifacts.manifest import Link, Manifest

__all__ = [
    "TABLE", "Run", "Tracked", "Untracked", "amended", "finish_published", "register", "require_server", "run", "set_alias",
    "set_version_tag", "sync", "tags_of",
]  # fmt: skip

EXPERIMENT = "stillhouse"
START_S = 10.0
"""Seconds that a stage waits for its run's id before it begins without one."""
PATIENCE_S = 30.0
"""Default of ``STILLHOUSE_TRACKING_PATIENCE_S``."""
FAILED_PATIENCE_S = 10.0
"""The same for a stage that failed: a preempted pod has little time."""
PARAM_CHARS = 6000
DIGEST_CHARS = 36
"""The longest digest of a data set that MLflow takes."""
SYSTEM_METRICS_EVERY_S = 5.0


@contextmanager
def run(stage: str, uri: str, config: Mapping[str, Any], links: Mapping[str, Sequence["Link"]], fingerprint: str) -> Iterator[Run]:
    """The MLflow run of one stage: FINISHED when the block ends, FAILED with the error as a tag when it raises.

    A stage that was preempted has its run KILLED. Raises TrackingRefused before the block if the server refuses the credentials.
    """
    with live_metrics.served(stage), _tracked(stage, uri, config, links, fingerprint) as opened:
        yield opened


@contextmanager
def _tracked(
    stage: str, uri: str, config: Mapping[str, Any], links: Mapping[str, Sequence["Link"]], fingerprint: str
) -> Iterator[Run]:
    if not environment.text("MLFLOW_TRACKING_URI"):
        yield Untracked()
        return
    patience_s = environment.number("STILLHOUSE_TRACKING_PATIENCE_S", PATIENCE_S)
    header = _header(f"{stage}/{uri.rpartition(f'/{stage}/')[2]}", {"stage": stage, "uri": uri, "fingerprint": fingerprint})
    with _sent(header, uri, patience_s) as tracked:
        if tracked is None:
            yield Untracked()
            return
        _describe(tracked, config, links)
        with last_lines.kept(tracked), _system_metrics(tracked):
            yield tracked


@contextmanager
def amended(run_id: str) -> Iterator[Run]:
    """A run that something else opened and will close, such as that of a whole DAG run, to add to while the block runs."""
    header = _header("", {}) | {"run_id": run_id, "ended": True}
    with _sent(header, "", environment.number("STILLHOUSE_TRACKING_PATIENCE_S", PATIENCE_S), ends=False) as tracked:
        yield tracked or Untracked()


def finish_published(uri: str, manifest: "Manifest", fetch: Callable[[Sequence[str]], Sequence[Path]]) -> None:
    """Finish the run of a published artifact, if its server or process went away before the run was finished.

    ``fetch`` returns local copies of the artifact's files. This makes one request if the run is already finished. It does nothing
    if no server is named or the server does not answer; the next try does it then.
    """
    if not environment.text("MLFLOW_TRACKING_URI"):
        return
    if (named := manifest.provenance.mlflow_run_id) and run_status.is_finished(named):
        return
    try:
        run_id, status = _run_of(uri, manifest)
    except (Away, Refused):
        return
    if status in {"FINISHED", None}:
        return
    files = fetch(_worth_a_look(manifest))
    patience_s = environment.number("STILLHOUSE_TRACKING_PATIENCE_S", PATIENCE_S)
    with _sent(_header("", {}) | {"run_id": run_id}, uri, patience_s, milliseconds(manifest)) as tracked:
        if tracked is not None:
            tracked.finish(manifest, files)


def sync() -> tuple[int, int]:
    """Send what earlier stages on this machine could not. Returns how many runs are complete now and how many still wait.

    Raises TrackingRefused if the server refuses the credentials.
    """
    require_server("sync")
    try:
        return deliver_abandoned(mlflow_runs.Server(), mlflow_runs.address())
    except Denied as error:
        raise refusal(error) from error


@contextmanager
def _sent(
    header: Record, output: str, patience_s: float, ended_at: int | None = None, *, ends: bool = True
) -> Iterator[Tracked | None]:
    """A run whose spool is sent while the block runs and after, and which then ends, unless another process ends it.

    None if the disk refuses the spool. Raises TrackingRefused.
    """
    server, address = mlflow_runs.Server(), mlflow_runs.address()
    try:
        own = RunSpool(run_spool.directory() / f"{header['execution']}.jsonl", header)
    except OSError as error:
        say(f"tracking: {one_line(error)}; this run is not tracked")
        yield None
        return
    delivery = Delivery(own, server, address)
    delivery.start()
    delivery.wait_for_run(START_S)
    if delivery.denied:
        delivery.finish(0)
        own.remove()
        raise refusal(delivery.denied)
    tracked = Tracked(own, output)
    stop_others = _send_abandoned(address)
    try:
        yield tracked
    except BaseException as error:
        if ends:
            status, values = _end_of(error)
            tracked.record({"kind": "tags", "values": values})
            tracked.record({"kind": "end", "status": status, "at": now_ms()})
        _close(own, delivery, min(patience_s, FAILED_PATIENCE_S))
        raise
    else:
        if ends:
            tracked.record({"kind": "end", "status": "FINISHED", "at": ended_at or now_ms()})
        _close(own, delivery, patience_s)
    finally:
        stop_others()


def _close(own: RunSpool, delivery: Delivery, patience_s: float) -> None:
    """Wait for the rest, and report in one line what did not arrive."""
    if delivery.finish(patience_s):
        own.remove()
    else:
        own.close()
        rest = f"{own.last - own.sent_to} records wait in {own.path}"
        say(f"MLflow does not answer: {rest}; the next stage on this machine sends them, or `stillhouse sync`")
    if own.n_thinned:
        say(f"tracking: {own.n_thinned:,} of the oldest metrics were thinned to keep the spool below {own.limit_bytes:,} bytes")
    if delivery.refused:
        say(f"MLflow refused {len(delivery.refused)} records; first {shortened(one_line(RuntimeError(delivery.refused[0])), 300)}")


def _send_abandoned(address: str) -> Callable[[], None]:
    """Send what earlier stages left, in the background. Returns a function that stops it."""
    stopping = threading.Event()

    def send() -> None:
        try:
            deliver_abandoned(mlflow_runs.Server(), address, stopping.is_set)
        except (Denied, OSError) as error:
            say(f"tracking: {one_line(error)}; run `stillhouse sync` later")

    thread = threading.Thread(target=send, name="tracking-abandoned", daemon=True)
    thread.start()

    def stop() -> None:
        stopping.set()
        thread.join(1.0)

    return stop


def _end_of(error: BaseException) -> tuple[str, dict[str, str]]:
    """Status and tags of a run whose stage raised."""
    if isinstance(error, Preempted):
        return "KILLED", {"error": "preempted by SIGTERM; the next try goes on", "stillhouse.preempted": "true"}
    if isinstance(error, KeyboardInterrupt):
        return "FAILED", {"error": "stopped by the user"}
    return "FAILED", {"error": f"{type(error).__name__}: {one_line(error)}"[:5000]}


def _header(name: str, tags: Mapping[str, str]) -> Record:
    """What the server needs to create a run; it is nested under the orchestrator's parent run, if there is one."""
    parent = environment.text("MLFLOW_RUN_ID")
    more = {"mlflow.source.name": "stillhouse", mlflow_runs.OWNER_TAG: mlflow_runs.owner()}
    more |= {mlflow_runs.OUTPUT_TAG: tags["uri"]} if "uri" in tags else {}
    more |= {"mlflow.parentRunId": parent} if parent else {}
    return {
        "kind": "run", "execution": uuid.uuid4().hex, "server": mlflow_runs.address(), "name": name, "start": now_ms(),
        "experiment": environment.text("MLFLOW_EXPERIMENT_NAME", EXPERIMENT),
        "tags": {key: masked(value) for key, value in (dict(tags) | more).items()},
    }  # fmt: skip


def _describe(tracked: Tracked, config: Mapping[str, Any], links: Mapping[str, Sequence["Link"]]) -> None:
    """Record the config as params and the inputs as datasets."""
    if config:
        tracked.record({"kind": "params", "values": {name: masked(str(value))[:PARAM_CHARS] for name, value in config.items()}})
    datasets = [
        {
            "name": f"{name}/{link.uri.split('/')[-1 if isinstance(link, ModelLink) else -2]}",
            "digest": link.fingerprint[-DIGEST_CHARS:], "source": masked(link.uri), "context": name,
        }
        for name, several in links.items()
        for link in several
    ]  # fmt: skip
    if datasets:
        tracked.record({"kind": "inputs", "datasets": datasets})


@contextmanager
def _system_metrics(tracked: Tracked) -> Iterator[None]:
    """CPU, memory, disk and GPU use of this machine, recorded while the block runs."""
    sample, stopping = mlflow_runs.system_sampler(), threading.Event()

    def record() -> None:
        step = 0
        while not stopping.wait(SYSTEM_METRICS_EVERY_S):
            tracked.log({f"system/{name}": value for name, value in sample().items()}, step)
            step += 1

    thread = threading.Thread(target=record, name="system-metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(1.0)


def _run_of(uri: str, manifest: "Manifest") -> tuple[str, str | None]:
    """Id and status of the run that made an artifact, by its manifest or, if that names none, by the run's tags."""
    server, run_id = mlflow_runs.Server(), manifest.provenance.mlflow_run_id
    if run_id:
        return run_id, server.status(run_id)
    experiment = environment.text("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    return server.status_of_artifact(experiment, uri, manifest.fingerprint) or ("", None)


def _worth_a_look(manifest: "Manifest") -> list[str]:
    """The files to show in MLflow: pages, tables and, unless the artifact is a model, its JSON files."""
    is_model = any(name.endswith(".safetensors") for name in manifest.files)
    endings = (".html", TABLE) if is_model else (".html", ".json")
    return sorted(name for name in manifest.files if name.endswith(endings))
