"""MLflow: one run per executed stage, nested under the DAG run's. The only module that imports mlflow.

Where ``MLFLOW_TRACKING_URI`` is not set, runs go nowhere. ``MLFLOW_RUN_ID`` names the parent run, ``MLFLOW_EXPERIMENT_NAME`` the
experiment (default ``stillhouse``).
"""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from stillhouse.errors import TrackingFailed
from stillhouse.execution import progress_bar

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from stillhouse.artifacts.manifest import Link, Manifest

EXPERIMENT = "stillhouse"
PROGRESS_EVERY_S = 2.0
LOG_EVERY_S = 1.0
BATCH_METRICS = 1000
"""Most metrics that MLflow takes in one request."""
_REFUSED = re.compile(r"[^\w./ :-]")  # by MLflow, in names of metrics: models may be called anything
TABLE = ".table.json"
"""How the name of an artifact ends that MLflow shows as a table: {"columns": [...], "data": [[...], ...]}."""
SYSTEM_METRICS_EVERY_S = 5
INPUT_TRIES = 5


class Run(Protocol):
    """Where a stage's numbers go while it runs."""

    id: str | None

    def progress(self, done: float, total: float, unit: str) -> None:
        """How far the stage is."""

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Numbers over time."""

    def finish(self, manifest: "Manifest", artifacts: Sequence[Path]) -> None:
        """The published result."""


class Untracked:
    """A run that shows its progress on standard error, and is kept nowhere."""

    id: str | None = None

    def __init__(self) -> None:
        self._shown = 0.0

    def progress(self, done: float, total: float, unit: str) -> None:
        """Print a line at most every ``PROGRESS_EVERY_S``; on a terminal with a bar, over the last one."""
        now = time.monotonic()
        if now - self._shown < PROGRESS_EVERY_S and done < total:
            return
        self._shown = now
        progress_bar.show(done, total, unit)

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Nothing: there is no server."""

    def finish(self, manifest: "Manifest", artifacts: Sequence[Path]) -> None:
        """Nothing: the manifest is the record."""


class Tracked(Untracked):
    """A run on the MLflow server. Progress is kept as the metrics ``progress/done`` and ``progress/total``."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        super().__init__()
        self.id = run_id
        self._client = client
        self._sent = 0.0
        self._waiting: list[Any] = []
        self._flushed = 0.0

    def progress(self, done: float, total: float, unit: str) -> None:
        """Print, and send to the server at most every ``PROGRESS_EVERY_S``."""
        super().progress(done, total, unit)
        now = time.monotonic()
        if now - self._sent >= PROGRESS_EVERY_S or done >= total:
            self._sent = now
            self.log({"progress/done": done, "progress/total": total})

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send, with what came less than ``LOG_EVERY_S`` before. MLflow refuses numbers that are not finite: left out."""
        import math

        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        finite = {_REFUSED.sub("_", name): float(value) for name, value in metrics.items() if math.isfinite(value)}
        self._waiting += [Metric(name, value, now, step or 0) for name, value in finite.items()]
        if time.monotonic() - self._flushed >= LOG_EVERY_S:
            # A server that restarts must not end a training: what waits is sent later, and at the end it has to be there.
            with suppress(TrackingFailed):
                self.flush()

    def flush(self) -> None:
        """Send what waits, in as few requests as the server takes."""
        self._flushed = time.monotonic()
        with _translated():
            while self._waiting:
                self._client.log_batch(str(self.id), metrics=self._waiting[:BATCH_METRICS])
                del self._waiting[:BATCH_METRICS]

    def finish(self, manifest: "Manifest", artifacts: Sequence[Path]) -> None:
        """Log the result's numbers, its rows and drops, and the files worth a look."""
        counts = {"n_rows": float(manifest.rows)} | {f"dropped/{reason}": float(n) for reason, n in manifest.dropped.items()}
        self.log(counts | dict(manifest.metrics))
        with _translated():
            for path in artifacts:
                self._client.log_artifact(str(self.id), str(path))
            tables = [{"path": path.name, "type": "table"} for path in artifacts if path.name.endswith(TABLE)]
            if tables:
                self._client.set_tag(str(self.id), "mlflow.loggedArtifacts", json.dumps(tables))
            self._client.log_text(str(self.id), manifest.model_dump_json(indent=1), "manifest.json")


@contextmanager
def run(stage: str, uri: str, config: Mapping[str, Any], links: Mapping[str, Sequence["Link"]], fingerprint: str) -> Iterator[Run]:
    """The MLflow run of one stage: FINISHED when the block ends, FAILED with the error as a tag when it raises."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        yield Untracked()
        return
    with _translated():
        client = _client()
        name = f"{stage}/{uri.rpartition(f'/{stage}/')[2]}"
        run_id = _create(client, name, {"stage": stage, "uri": uri, "fingerprint": fingerprint})
        _describe(client, run_id, config, links)
        monitor = _system_metrics(run_id)
    tracked = Tracked(client, run_id)
    try:
        yield tracked
    except BaseException as error:
        monitor.finish()
        # A server that is gone must not hide the error that the user has to read.
        with suppress(TrackingFailed), _translated():
            tracked.flush()
            client.set_tag(run_id, "error", f"{type(error).__name__}: {error}"[:5000])
            client.set_terminated(run_id, "FAILED")
        raise
    monitor.finish()
    with _translated():
        tracked.flush()
        client.set_terminated(run_id, "FINISHED")


def register(name: str, checkpoint: Path, uri: str, run_id: str | None, tags: Mapping[str, str], description: str = "") -> str:
    """Register a checkpoint as a new version of the model ``name``. Returns the version.

    On S3 the version points at the artifact itself; a server only accepts local files through the run that logged them, so
    there the checkpoint is logged to the run first.
    """
    from mlflow.exceptions import RestException

    with _translated():
        client = _client()
        try:
            client.create_registered_model(name)
        except RestException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = uri
        if uri.startswith("file://"):
            client.log_artifacts(str(run_id), str(checkpoint), "checkpoint")
            source = f"runs:/{run_id}/checkpoint"
        made = client.create_model_version(name, source, run_id, tags=dict(tags), description=description or None)
        return str(made.version)


def set_alias(name: str, alias: str, version: str) -> None:
    """Point an alias of the model at a version."""
    with _translated():
        _client().set_registered_model_alias(name, alias, version)


def set_version_tag(name: str, version: str, key: str, value: str) -> None:
    """Tag a version of the model."""
    with _translated():
        _client().set_model_version_tag(name, version, key, value)


def tags_of(name: str, alias: str, version: str = "") -> tuple[str, dict[str, str]] | None:
    """The version an alias points at, or the named one, and its tags; None if it, the alias or the model does not exist."""
    from mlflow.exceptions import RestException

    with _translated():
        client = _client()
        try:
            found = client.get_model_version(name, version) if version else client.get_model_version_by_alias(name, alias)
        except RestException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            raise
        return str(found.version), dict(found.tags)


def require_server(what: str) -> None:
    """Raise TrackingFailed where no MLflow server is named."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        msg = f"{what} needs an MLflow server, and MLFLOW_TRACKING_URI is not set; `make up` starts one and prints its URL"
        raise TrackingFailed(msg)


def _client() -> "MlflowClient":
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    from mlflow import MlflowClient

    return MlflowClient()


def _create(client: "MlflowClient", name: str, tags: Mapping[str, str]) -> str:
    """A run named after the artifact, below the parent run the orchestrator opened, if it did."""
    experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    experiment_id = _experiment_id(client, experiment)
    parent = {"mlflow.parentRunId": os.environ["MLFLOW_RUN_ID"]} if os.environ.get("MLFLOW_RUN_ID") else {}
    made = client.create_run(experiment_id, run_name=name, tags={**tags, **parent, "mlflow.source.name": "stillhouse"})
    return str(made.info.run_id)


def _experiment_id(client: "MlflowClient", name: str) -> str:
    """The experiment of that name, made if it is not there; another run may be making it just now."""
    from mlflow.exceptions import RestException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except RestException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
    return str(found.experiment_id)


def _describe(client: "MlflowClient", run_id: str, config: Mapping[str, Any], links: Mapping[str, Sequence["Link"]]) -> None:
    """Log the config as params and the inputs as datasets."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param

    params = [Param(name, str(value)[:6000]) for name, value in config.items()]
    client.log_batch(run_id, params=params)
    datasets = [
        DatasetInput(
            Dataset(name=f"{name}/{link.uri.split('/')[-2]}", digest=link.fingerprint, source_type="stillhouse", source=link.uri),
            [InputTag("mlflow.data.context", name)],
        )
        for name, given in links.items()
        for link in given
    ]
    if datasets:
        _log_inputs(client, run_id, datasets)


def _log_inputs(client: "MlflowClient", run_id: str, datasets: Sequence[Any]) -> None:
    """Log the datasets. Two runs that name a dataset for the first time at once collide in the server; the next try finds it."""
    from mlflow.exceptions import MlflowException

    for attempt in range(1, INPUT_TRIES + 1):
        try:
            client.log_inputs(run_id, datasets)
        except MlflowException as error:
            if "unique" not in str(error).lower() or attempt == INPUT_TRIES:
                raise
            time.sleep(0.2 * attempt)
        else:
            return


def _system_metrics(run_id: str) -> Any:
    """CPU, memory, disk and GPU use of this machine, sent while the stage runs."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run_id, sampling_interval=SYSTEM_METRICS_EVERY_S, samples_before_logging=1)
    monitor.start()
    return monitor


@contextmanager
def _translated() -> Iterator[None]:
    """Turn a refusing or absent server into a TrackingFailed that names it."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        server = os.environ.get("MLFLOW_TRACKING_URI")
        msg = f"MLflow at {server}: {error}; check MLFLOW_TRACKING_URI and that the server runs (`make up`)"
        raise TrackingFailed(msg) from error
