import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException

from operators.links import PageLink, RunLink
from stillhouse.artifacts import manifest

ROOT = Path(__file__).parents[2]
VIEW = "?workflowType=machine_learning"


@pytest.fixture
def mlflow(monkeypatch):
    """A server that knows runs by id; of a search it keeps the body, and answers with the run ``failed``."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self._say({"run": _run(self.path.rpartition("=")[2])})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body)
            self._say({"experiment_id": "7"} if "name" in body else {"runs": [_run("failed")]})

        def _say(self, answer):
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}/")
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def _run(run_id):
    return {"info": {"run_id": run_id, "experiment_id": "7"}}


def published(tmp_path, names):
    """An artifact of these files, made in the MLflow run r1."""
    target = (tmp_path / "report" / "toy" / "v1").as_uri()
    files = {name: manifest.File(sha256="0" * 64, bytes=1) for name in names}
    made = manifest.Manifest(
        stage="report", version="v1", fingerprint="0" * 16, config={}, files=files, metrics={},
        provenance=manifest.provenance(datetime.now(UTC), "r1"),
    )  # fmt: skip
    manifest.publish(target, made)
    return target


def links(target):
    task = SimpleNamespace(target=target, dag_id="toy")
    return [link.get_link(task, ti_key=None) for link in (RunLink(), PageLink())]


def test_links_of_a_report_lead_to_its_run_and_its_page(tmp_path, mlflow):
    url, _ = mlflow
    run = f"{url}/#/experiments/7/runs/r1"
    found = links(published(tmp_path, ["outcomes.json", "report.html", "deep/other.html"]))
    assert found == [f"{run}{VIEW}", f"{run}/artifacts/report.html{VIEW}"]


def test_links_of_a_stage_without_a_page_lead_to_its_run_alone(tmp_path, mlflow):
    url, _ = mlflow
    assert links(published(tmp_path, ["model.safetensors"])) == [f"{url}/#/experiments/7/runs/r1{VIEW}", ""]


def test_links_of_a_stage_that_failed_lead_to_its_last_try(tmp_path, mlflow):
    url, asked = mlflow
    target = (tmp_path / "report" / "toy" / "v2").as_uri()
    assert links(target) == [f"{url}/#/experiments/7/runs/failed{VIEW}", ""]
    assert asked[-1]["filter"] == f"tags.uri = '{target}'"
    assert asked[-1]["order_by"] == ["attributes.start_time DESC"]
    assert asked[-2]["name"] == "toy"  # the experiment of the profile


def test_links_lead_where_browsers_reach_mlflow(tmp_path, mlflow, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_MLFLOW_URL", "https://mlflow.example.org/")
    assert links(published(tmp_path, ["report.html"]))[0] == f"https://mlflow.example.org/#/experiments/7/runs/r1{VIEW}"


def test_links_where_nothing_is_tracked_are_none(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert links(published(tmp_path, ["report.html"])) == ["", ""]


def test_links_to_a_server_that_is_gone_raise_what_airflow_logs(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(AirflowException, match="did not answer"):
        links(published(tmp_path, ["report.html"]))


def test_links_are_on_the_pods_of_every_stage(tmp_path):
    """In a process of its own: which operator stages are is read from the environment, once."""
    script = """
from operators.links import LINKS
from operators.stage import StageOperator, operator_of
from operators.job import StageJob
from operators.pod import StagePod
assert StageOperator is StagePod and operator_of({"nodes": 2}) is StageJob
task = StageOperator(task_id="report", stage="report", recipe="@toy/report", target="s3://b/report/toy/1")
mapped = StageOperator.partial(task_id="mapped", stage="report").expand_kwargs([{"recipe": "@toy/report", "target": "s3://b/r/t/1"}])
assert task.operator_extra_links == mapped.operator_extra_links == StageJob.operator_extra_links == LINKS
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "AIRFLOW_HOME": str(tmp_path), "STILLHOUSE_RUNNER": "pods"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
