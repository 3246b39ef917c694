import asyncio
import copy
import json
import os
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

# Airflow reads these when it is first imported; nothing here may touch a database or a home of the machine's user.
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")

import kubernetes_validate
from airflow.sdk.exceptions import TaskDeferred
from kubernetes.client import ApiClient

from tests.operators import kubernetes_fake

FAKE = f"""#!{sys.executable}
import os, subprocess, sys, time
mode, log = os.environ["FAKE_MODE"], os.environ["FAKE_LOG"]
print("arguments", *sys.argv[1:], flush=True)
print("threads", os.environ["OMP_NUM_THREADS"], "run", os.environ["MLFLOW_RUN_ID"], "airflow", "AIRFLOW_HOME" in os.environ)
if mode == "refuse":
    sys.exit("error: questions has 0 rows; give it some")
if mode == "unreachable":
    print("error: http://mlflow: connection refused", file=sys.stderr)
    sys.exit(75)
if mode == "rank unreachable":
    print("try again: s3://house: connection refused", file=sys.stderr)
    sys.exit(1)
if mode == "rank killed":
    print("rank 0: the other ranks are gone", "  traceback : Signal 9 (SIGKILL) received by PID 7", "=" * 60, sep="\\n")
    sys.exit(1)
if mode == "crash":
    raise RuntimeError("out of luck")
if mode == "die":
    os.kill(os.getpid(), 9)
if mode in ("hang", "leave"):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open(log, "w").write(f"{{os.getpid()}} {{child.pid}}")
    print("started", flush=True)
    time.sleep(600 if mode == "hang" else 0)
"""


@pytest.fixture
def fake_stage(tmp_path, monkeypatch):
    """A ``stillhouse`` that behaves as told: call with a mode; returns the file where it writes its and its child's pid."""
    program, log = tmp_path / "stillhouse", tmp_path / "pids"
    program.write_text(FAKE)
    program.chmod(0o755)

    def behave(mode: str) -> Path:
        monkeypatch.setenv("STILLHOUSE_PROGRAM", str(program))
        monkeypatch.setenv("FAKE_MODE", mode)
        monkeypatch.setenv("FAKE_LOG", str(log))
        monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
        return log

    return behave


CONFIG = """
apiVersion: v1
kind: Config
current-context: fake
contexts: [{{name: fake, context: {{cluster: fake, user: fake, namespace: house}}}}]
clusters: [{{name: fake, cluster: {{server: "{server}"}}}}]
users: [{{name: fake, user: {{}}}}]
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A fake Kubernetes API that Airflow's connection points to, with the environment that the chart gives to Airflow."""
    with kubernetes_fake.serve() as served:
        (tmp_path / "kubeconfig").write_text(CONFIG.format(server=served.url))
        connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(tmp_path / "kubeconfig")}}
        monkeypatch.delenv("KUBECONFIG", raising=False)
        monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps(connection))
        monkeypatch.setenv("STILLHOUSE_NAMESPACE", "house")
        yield served


@pytest.fixture
def context():
    """What Airflow hands a task, as far as pod operators read it."""
    stored: dict[str, object] = {}
    state = SimpleNamespace(get=stored.get, set=stored.__setitem__)
    ti = SimpleNamespace(
        dag_id="retrain", task_id="graded", run_id="manual__2026-11-24T00:00:00+00:00", map_index=-1, try_number=1,
        start_date=datetime.now(UTC), xcom_push=lambda key, value: None,
    )  # fmt: skip
    return {"ti": ti, "run_id": ti.run_id, "dag": SimpleNamespace(dag_id=ti.dag_id), "task_state_store": state}


@pytest.fixture
def run():
    """Run a task to its end as worker and triggerer do in turn: call with the task and its context."""

    def to_the_end(task, context):
        task.render_template_fields(context)
        # A task that was deferred resumes in another process, as a new object.
        fresh = copy.copy(task)
        step = partial(task.execute, context)
        while True:
            try:
                return step()
            except TaskDeferred as deferred:
                event = asyncio.run(anext(deferred.trigger.run())).payload
                resumed = copy.copy(fresh)
                step = partial(getattr(resumed, deferred.method_name), context, event=event, **(deferred.kwargs or {}))

    return to_the_end


@pytest.fixture
def valid():
    """Check an object against the strict schema of its kind: unknown fields fail."""

    def check(pod_spec):
        body = ApiClient().sanitize_for_serialization(pod_spec)
        kubernetes_validate.validate(body, "1.35", strict=True)
        return body

    return check
