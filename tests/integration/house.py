"""A whole house for tests: Airflow, MLflow and a store in one directory, and DAGs run in it by ``dag.test()``."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = ROOT / ".venv" / "bin"
READY_S = 60.0


@contextlib.contextmanager
def house(directory):
    """The URI of the MLflow server, with the environment that DAGs and stages inherit."""
    with mlflow_server(directory) as uri, pytest.MonkeyPatch.context() as patch:
        settings = {
            "AIRFLOW_HOME": directory / "airflow", "AIRFLOW__CORE__DAGS_FOLDER": ROOT / "dags",
            "AIRFLOW__CORE__LOAD_EXAMPLES": False, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{directory}/airflow.db",
            "STILLHOUSE_RUNNER": "process", "STILLHOUSE_STORE": (directory / "store").as_uri(),
            "STILLHOUSE_PROGRAM": os.environ.get("STILLHOUSE_PROGRAM") or STAGES / "stillhouse", "MLFLOW_TRACKING_URI": uri,
            "HF_HUB_OFFLINE": 1, "PYTHONPATH": ROOT,
        }  # fmt: skip
        for name, value in settings.items():
            patch.setenv(name, str(value))
        airflow = Path(sys.executable).with_name("airflow")
        subprocess.run([airflow, "db", "migrate"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield uri


def run_dag(name, **conf):
    """One run of a DAG, in a child process, so that Airflow reads the house's settings."""
    script = f"""
import json
from airflow.dag_processing.dagbag import DagBag
dag = DagBag({str(ROOT / "dags")!r}).dags[{name!r}]
run = dag.test(run_conf=json.loads({json.dumps(json.dumps(conf))}))
tasks = {{ti.task_id if ti.map_index < 0 else f"{{ti.task_id}}/{{ti.map_index}}": str(ti.state) for ti in run.get_task_instances()}}
print("RESULT", json.dumps({{"state": str(run.state), "tasks": tasks}}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    lines = [line.removeprefix("RESULT ") for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(lines[0]) | {"log": done.stdout + done.stderr}


@contextlib.contextmanager
def mlflow_server(directory):
    """A real server on a free port; gone afterwards with all it started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [
        STAGES / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{directory}/mlflow.db", "--artifacts-destination", directory / "artifacts",
    ]  # fmt: skip
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (directory / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        uri = f"http://127.0.0.1:{port}"
        wait_for(f"{uri}/health", process)
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def wait_for(url: str, process) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.2)
    pytest.fail(f"{url} did not answer within {READY_S} s")


def call(uri: str, path: str, body=None):
    request = urllib.request.Request(f"{uri}/api/2.0/mlflow/{path}", json.dumps(body).encode() if body else None)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)
