"""The path by ``dag.test()``: control side here, the stages as commands of the other environment."""

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
VERSION = "v1"
READY_S = 60.0

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not (STAGES / "stillhouse").exists(), reason="needs .venv: make venv"),
]


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Airflow, MLflow and a store in one directory, with the environment that the stages inherit."""
    directory = tmp_path_factory.mktemp("retrain")
    with mlflow_server(directory) as uri, pytest.MonkeyPatch.context() as patch:
        settings = {
            "AIRFLOW_HOME": directory / "airflow", "AIRFLOW__CORE__DAGS_FOLDER": ROOT / "dags",
            "AIRFLOW__CORE__LOAD_EXAMPLES": False, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{directory}/airflow.db",
            "STILLHOUSE_RUNNER": "process", "STILLHOUSE_STORE": (directory / "store").as_uri(),
            "STILLHOUSE_PROGRAM": STAGES / "stillhouse", "MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_NAME": "stillhouse",
            "HF_HUB_OFFLINE": 1, "PYTHONPATH": ROOT,
        }  # fmt: skip
        for name, value in settings.items():
            patch.setenv(name, str(value))
        airflow = Path(sys.executable).with_name("airflow")
        subprocess.run([airflow, "db", "migrate"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield directory, uri


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


def run_dag():
    """One run in this process, in a child of its own so that Airflow reads this test's settings."""
    script = f"""
import json
from airflow.dag_processing.dagbag import DagBag
dag = DagBag({str(ROOT / "dags")!r}).dags["retrain"]
run = dag.test(run_conf={{"profile": "toy", "version": {VERSION!r}}})
print("RESULT", json.dumps({{"state": str(run.state), "tasks": {{ti.task_id: str(ti.state) for ti in run.get_task_instances()}}}}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    lines = [line.removeprefix("RESULT ") for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(lines[0]) | {"log": done.stdout + done.stderr}


def call(uri: str, path: str, body=None):
    request = urllib.request.Request(f"{uri}/api/2.0/mlflow/{path}", json.dumps(body).encode() if body else None)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def runs(uri: str) -> list[dict]:
    experiment = call(uri, "experiments/get-by-name?experiment_name=stillhouse")["experiment"]["experiment_id"]
    return call(uri, "runs/search", {"experiment_ids": [experiment], "max_results": 200})["runs"]


@pytest.fixture(scope="session")
def first(home):
    return run_dag()


def test_retrain_toy_ends_in_a_registered_model(home, first):
    directory, uri = home
    assert first["state"] == "success", {name: state for name, state in first["tasks"].items() if state != "success"}
    assert (directory / "store" / "registry" / "toy" / VERSION / "manifest.json").exists()
    models = call(uri, "registered-models/search?max_results=10")["registered_models"]
    assert [len(model["aliases"]) > 0 for model in models] == [True]


def test_retrain_stage_runs_are_nested_below_the_dag_runs(home, first):
    _, uri = home
    found = runs(uri)
    tags = {run["info"]["run_id"]: {tag["key"]: tag["value"] for tag in run["data"]["tags"]} for run in found}
    parents = [run_id for run_id, given in tags.items() if "airflow.run_id" in given]
    children = [given for given in tags.values() if given.get("mlflow.parentRunId") == parents[-1]]
    assert len(children) == sum(name not in {"open_run", "close_run"} for name in first["tasks"])
    assert {run["info"]["status"] for run in found} == {"FINISHED"}


def test_retrain_again_skips_every_stage(home, first):
    assert first["state"] == "success"
    again = run_dag()
    assert again["state"] == "success"
    assert again["log"].count("unchanged, skipped") == len(again["tasks"]) - 2
