"""Create, fill, look up and close runs on an MLflow server. Every request is short and may be sent twice."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.errors import TrackingRefused
from stillhouse.execution.run_spool import Record
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.masking import masked

if TYPE_CHECKING:
    from mlflow import MlflowClient

REQUEST_S = 20
"""Seconds to connect and seconds to answer, unless ``MLFLOW_HTTP_REQUEST_TIMEOUT`` says otherwise."""
BATCH_METRICS = 1000
"""Most metrics that MLflow takes in one request."""
NOTE_TAG, PLAN_HEADING = "mlflow.note.content", "\n\n## Plan\n\n"
"""The description of a run, as Markdown: what it came to, and below the heading what was planned."""
EXECUTION_TAG, OUTPUT_TAG, OWNER_TAG = "stillhouse.execution_id", "stillhouse.output", "stillhouse.owner"
KIND_TAG, KIND = "mlflow.experimentKind", "custom_model_development"
"""The tag by which MLflow's pages open an experiment in the view of trained models, and not in that of agents."""
_DENIED = {"CUSTOMER_UNAUTHORIZED", "ENDPOINT_NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED"}
_REFUSED = {"BAD_REQUEST", "INVALID_PARAMETER_VALUE", "NOT_FOUND", "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"}
_STORE_REFUSED = {"AccessDenied", "InvalidAccessKeyId", "NoSuchBucket", "SignatureDoesNotMatch", "403", "404"}


class Away(Exception):
    """The server could not be reached, was too slow, too busy or failed: the same request may succeed later."""


class Refused(Exception):
    """The server understood the request and refused it: it would refuse it again."""


class Denied(Refused):
    """The server refuses the credentials, or is no MLflow server at that address: it would refuse every request."""


class Server:
    """The MLflow server that ``MLFLOW_TRACKING_URI`` names."""

    def __init__(self) -> None:
        self.client = client()

    def create(self, header: Record, *, again: bool) -> str:
        """The id of the run that the header describes. ``again`` looks first for one that a lost reply left behind."""
        with errors_by_kind():
            experiment_id = self._experiment_id(header["experiment"])
            if again:
                same = self.client.search_runs([experiment_id], f"tags.`{EXECUTION_TAG}` = '{header['execution']}'", max_results=1)
                if same:
                    return str(same[0].info.run_id)
            tags = {**header["tags"], EXECUTION_TAG: header["execution"]}
            return str(self.client.create_run(experiment_id, header["start"], tags, header["name"]).info.run_id)

    def send(self, run_id: str, records: Sequence[Record], directory: Path) -> None:
        """Log records, which are all metrics or one of another kind. ``directory`` holds the files that artifacts name."""
        with errors_by_kind():
            if records[0]["kind"] == "metrics":
                self._metrics(run_id, records)
            else:
                _SENDERS[records[0]["kind"]](self.client, run_id, records[0], directory)

    def status(self, run_id: str) -> str | None:
        """The status of a run, None if the server does not know it."""
        try:
            with errors_by_kind():
                return str(self.client.get_run(run_id).info.status)
        except Refused:
            return None

    def status_of_artifact(self, experiment: str, uri: str, fingerprint: str) -> tuple[str, str] | None:
        """Id and status of the newest run that made the artifact, a finished one if there is one."""
        with errors_by_kind():
            same_output = f"tags.`{OUTPUT_TAG}` = {_quoted(uri)} and tags.fingerprint = {_quoted(fingerprint)}"
            runs = self.client.search_runs([self._experiment_id(experiment)], same_output)
        ranked = sorted(runs, key=lambda run: run.info.status != "FINISHED")
        return (str(ranked[0].info.run_id), str(ranked[0].info.status)) if ranked else None

    def _metrics(self, run_id: str, records: Sequence[Record]) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(name, value, record["at"], record["step"]) for record in records for name, value in record["values"].items()
        ]
        for first in range(0, len(metrics), BATCH_METRICS):
            self.client.log_batch(run_id, metrics=metrics[first : first + BATCH_METRICS])

    def _experiment_id(self, name: str) -> str:
        """The experiment of that name, created if it does not exist; another run may be creating it at the same moment."""
        from mlflow.exceptions import RestException

        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            try:
                return str(self.client.create_experiment(name, tags={KIND_TAG: KIND}))
            except RestException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                experiment = self.client.get_experiment_by_name(name)
        return str(experiment.experiment_id)


def client() -> "MlflowClient":
    """A client without retries of its own: callers try again by kind. Raises TrackingRefused if the server's URI is none."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(REQUEST_S))
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # the URL may hold a password
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before mlflow is imported
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        return MlflowClient()
    except MlflowException as error:
        msg = f"MLFLOW_TRACKING_URI is {address()!r}, which is not the URI of an MLflow server; write http://HOST:PORT"
        raise TrackingRefused(msg) from error


def address() -> str:
    """The server's URI without credentials, empty if none is named."""
    return masked(environment.text("MLFLOW_TRACKING_URI"), {})


@contextmanager
def errors_by_kind() -> Iterator[None]:
    """Turn what MLflow and its artifact store raise into Away, Refused or Denied."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise _kind(error.error_code, str(error))(masked(str(error))) from error
    except (Away, Refused):
        raise
    except Exception as error:
        if not type(error).__module__.startswith(("requests", "urllib3", "botocore", "boto3", "s3transfer")):
            raise
        reply = getattr(error, "response", None)
        code = str(reply.get("Error", {}).get("Code")) if isinstance(reply, dict) else ""
        raise (Refused if code in _STORE_REFUSED else Away)(masked(str(error))) from error


def _kind(code: str, message: str) -> type[Away | Refused]:
    if code in _DENIED:
        return Denied
    # Two runs that name a dataset for the first time collide in the server; the next try finds it.
    return Refused if code in _REFUSED and "unique constraint" not in message.lower() else Away


def refusal(error: object) -> TrackingRefused:
    """The error for a server that refuses this process."""
    return TrackingRefused(f"MLflow at {address()} refuses this process: {error}; check MLFLOW_TRACKING_URI and the credentials")


def system_sampler() -> Callable[[], dict[str, float]]:
    """A function that reads the use of CPU, memory, disk, network and GPUs since it was last called."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run_id="", sampling_interval=1)  # its collectors alone: its own thread asks the server

    def sample() -> dict[str, float]:
        monitor.collect_metrics()
        values = dict(monitor.aggregate_metrics())
        for collector in monitor.monitors:
            collector.clear_metrics()
        return values

    return sample


def owner() -> str:
    """This process: host, process id, and when it started, so that a later process with the same id is not taken for it."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def _lives(owner_tag: str) -> bool:
    """Whether a process of this host still runs. The output's claim says that an owner on another host is gone."""
    host, _, process = owner_tag.partition(":")
    pid, _, started = process.partition(":")
    return host == socket.gethostname() and pid.isdecimal() and bool(started) and _started(int(pid)) == started


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _quoted(text: str) -> str:
    return f'"{text}"' if "'" in text else f"'{text}'"


def _send_params(client: "MlflowClient", run_id: str, record: Record, _: Path) -> None:
    from mlflow.entities import Param

    client.log_batch(run_id, params=[Param(name, value) for name, value in record["values"].items()])


def _send_inputs(client: "MlflowClient", run_id: str, record: Record, _: Path) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    datasets = [
        DatasetInput(
            Dataset(name=dataset["name"], digest=dataset["digest"], source_type="stillhouse", source=dataset["source"]),
            [InputTag("mlflow.data.context", dataset["context"])],
        )
        for dataset in record["datasets"]
    ]
    client.log_inputs(run_id, datasets)


def _send_tags(client: "MlflowClient", run_id: str, record: Record, _: Path) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in record["values"].items()])


def _send_artifact(client: "MlflowClient", run_id: str, record: Record, directory: Path) -> None:
    client.log_artifact(run_id, str(directory / record["file"]))


def _send_text(client: "MlflowClient", run_id: str, record: Record, _: Path) -> None:
    client.log_text(run_id, record["text"], record["name"])


def _send_outputs(client: "MlflowClient", run_id: str, record: Record, _: Path) -> None:
    """Name the run's checkpoints as logged models; one that an earlier run made is linked, not made again."""
    from mlflow.entities import LoggedModelOutput

    experiment = client.get_run(run_id).info.experiment_id
    outputs = [LoggedModelOutput(_logged_model(client, experiment, run_id, model), step=0) for model in record["models"]]
    client.log_outputs(run_id, outputs)


def _logged_model(client: "MlflowClient", experiment: str, run_id: str, model: Mapping[str, str]) -> str:
    """The id of the model with this fingerprint in the experiment."""
    from mlflow.entities import LoggedModelStatus

    same = client.search_logged_models([experiment], f"tags.fingerprint = {_quoted(model['fingerprint'])}", max_results=1)
    if same:
        return str(same[0].model_id)
    tags = {"fingerprint": model["fingerprint"], "uri": model["uri"]}
    made = client.create_logged_model(experiment, name=model["name"], source_run_id=run_id, tags=tags, model_type="checkpoint")
    client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
    return str(made.model_id)


def _send_note(client: "MlflowClient", run_id: str, record: Record, _: Path) -> None:
    """Put what the run came to before its plan, which was the description so far; sent twice, it stands there once."""
    before = client.get_run(run_id).data.tags.get(NOTE_TAG, "")
    if before.startswith(record["text"]):
        return
    plan = before.partition(PLAN_HEADING)[2] or before
    client.set_tag(run_id, NOTE_TAG, record["text"] + (PLAN_HEADING + plan if plan else ""))


def _send_end(client: "MlflowClient", run_id: str, record: Record, _: Path) -> None:
    """Close the run. ``if_running``: not if another process has already closed it."""
    if not record.get("if_running") or client.get_run(run_id).info.status == "RUNNING":
        client.set_terminated(run_id, record["status"], record["at"])


def _close_others(client: "MlflowClient", run_id: str, record: Record, _: Path) -> None:
    """Close the runs of earlier tries of the output that were killed: still RUNNING, and their process is gone."""
    experiment = client.get_run(run_id).info.experiment_id
    running = f"tags.`{OUTPUT_TAG}` = {_quoted(record['output'])} and attributes.status = 'RUNNING'"
    for other in client.search_runs([experiment], running):
        if other.info.run_id != run_id and not _lives(other.data.tags.get(OWNER_TAG, "")):
            client.set_tag(other.info.run_id, "error", f"killed: run {run_id} took over its output")
            client.set_terminated(other.info.run_id, "KILLED")


_SENDERS: Mapping[str, Any] = {
    "params": _send_params, "inputs": _send_inputs, "tags": _send_tags, "artifact": _send_artifact, "text": _send_text,
    "end": _send_end, "close_others": _close_others, "outputs": _send_outputs, "note": _send_note,
}  # fmt: skip
