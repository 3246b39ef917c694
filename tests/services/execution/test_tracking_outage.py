"""A real training whose real MLflow server is killed in the middle."""

import os
import signal
import subprocess
import sys
import time

import pytest
from mlflow import MlflowClient

from stillhouse import testing
from stillhouse.vocabulary.rows import Selected
from tests.conftest import free_port, mlflow_serving

pytestmark = pytest.mark.timeout(300)
STEPS = 40
SETTINGS = {
    "max_steps": STEPS, "batch_size": 4, "max_length": 96, "system_prompt": "none", "suffix": "none", "learning_rate": 0.01,
    "init.kind": "scratch", "init.hidden_size": 32, "init.intermediate_size": 64, "init.layers": 1, "init.heads": 2,
    "init.vocabulary": 300, "init.context": 128,
}  # fmt: skip


def started(client: MlflowClient) -> bool:
    """Whether the server has heard of the first steps."""
    experiments = client.search_experiments(filter_string="name = 'outage'")
    runs = client.search_runs([experiments[0].experiment_id]) if experiments else []
    return bool(runs) and "train/loss" in runs[0].data.metrics


def test_sft_whose_mlflow_is_killed_trains_on_and_every_step_arrives_once(tmp_path):
    selected, port = (tmp_path / "store" / "selected" / "toy" / "1").as_uri(), free_port()
    testing.publish([testing.selected(question) for question in testing.questions(6)], Selected, selected)
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}", "MLFLOW_EXPERIMENT_NAME": "outage",
        "STILLHOUSE_SPOOL": str(tmp_path / "spool"), "STILLHOUSE_TRACKING_PATIENCE_S": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "stillhouse"]
    settings = [word for name, value in SETTINGS.items() for word in ("-s", f"{name}={value}")]
    output = (tmp_path / "store" / "sft" / "toy" / "1").as_uri()
    (tmp_path / "mlflow").mkdir()
    with mlflow_serving(tmp_path / "mlflow", port) as (uri, server):
        training = subprocess.Popen(
            [*command, "sft", "-i", f"selected={selected}", "-o", output, *settings], env=environment, stderr=subprocess.PIPE
        )
        while not started(MlflowClient(uri)):
            assert training.poll() is None
            time.sleep(0.05)
        os.killpg(server.pid, signal.SIGKILL)
    said = training.communicate(timeout=200)[1].decode()
    assert training.returncode == 0, said
    with mlflow_serving(tmp_path / "mlflow", port) as (uri, _):
        assert subprocess.run([*command, "sync"], env=environment, check=False).returncode == 0
        client = MlflowClient(uri)
        (run,) = client.search_runs([client.get_experiment_by_name("outage").experiment_id])
        history = client.get_metric_history(run.info.run_id, "train/loss")
    assert run.info.status == "FINISHED"
    assert [point.step for point in sorted(history, key=lambda point: point.step)] == list(range(1, STEPS + 1))
