"""The chart installed, Airflow with the launcher's rights, DAGs whose stages are pods, the store and MLflow in pods too."""

import base64
import json
import time
import urllib.request

import pytest

from tests.cluster import house as airflow
from tests.cluster.conftest import missing, until

if reason := missing():
    pytest.skip(reason, allow_module_level=True)

pytestmark = pytest.mark.timeout(1800)

VERSION = "pods"
CHECKPOINT = f"s3://stillhouse/rl/toy-2/{VERSION}"


@pytest.fixture(scope="module")
def runs(release, tmp_path_factory):
    with airflow.running(tmp_path_factory.mktemp("airflow"), release) as runs:
        yield runs


@pytest.fixture
def pods(core, release):
    """The stages' pods that are there, be it on their way out; with ``alive=True`` those that are not."""

    def listed(alive: bool = False) -> list[str]:
        found = core.list_namespaced_pod(release.namespace, label_selector="app.kubernetes.io/component=stage").items
        return [
            pod.metadata.name for pod in found if not (alive and (pod.metadata.deletion_timestamp or pod.status.phase != "Running"))
        ]

    return listed


@pytest.fixture
def mlflow(release):
    """Ask MLflow, with the password."""
    given = release.environment
    login = base64.b64encode(f"{given['MLFLOW_TRACKING_USERNAME']}:{given['MLFLOW_TRACKING_PASSWORD']}".encode()).decode()

    def ask(path: str):
        request = urllib.request.Request(
            f"{given['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/{path}", headers={"Authorization": f"Basic {login}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    return ask


@pytest.fixture(scope="module")
def retrained(runs):
    began = time.monotonic()
    runs.trigger("toy", VERSION, version=VERSION)
    state = runs.ended("toy", VERSION, 1500)
    print(f"retrain in pods: {state} after {time.monotonic() - began:.0f} s")
    return state, runs.tasks("toy", VERSION)


def test_retrain_in_pods_ends_in_a_registered_model_and_leaves_no_pod(retrained, mlflow, pods):
    state, tasks = retrained
    assert state == "success", tasks
    [model] = mlflow("registered-models/search?max_results=10")["registered_models"]
    assert model["name"] == "stillhouse-toy"
    assert model["aliases"]
    assert until(lambda: not pods())


def measured(runs, pods, name: str) -> None:
    """Start a report on the trained model, and wait until its pod runs."""
    runs.trigger("evaluate", name, checkpoint=CHECKPOINT, protocol="toy", benchmarks=["arithmetic-toy"], version=name)
    runs.until(lambda: pods(alive=True) and runs.tasks("evaluate", name)["report"] == "deferred", 180)


def test_scheduler_killed_and_back_ends_the_run_and_leaves_no_pod(retrained, runs, pods):
    measured(runs, pods, "killed")
    runs.kill("scheduler")
    assert pods()
    runs.start("scheduler")
    assert runs.ended("evaluate", "killed", 300) == "success"
    assert until(lambda: not pods())


def test_task_marked_failed_leaves_no_pod(retrained, runs, pods):
    measured(runs, pods, "marked")
    runs.mark_failed("evaluate", "marked", "report", 0)
    assert until(lambda: not pods(), 180)
    assert runs.ended("evaluate", "marked", 120) == "failed"


def test_task_cleared_runs_again_and_leaves_no_pod(retrained, runs, pods):
    measured(runs, pods, "cleared")
    [first] = pods()
    runs.clear("evaluate", "cleared", "report")
    assert runs.ended("evaluate", "cleared", 300) == "success"
    assert first not in pods(alive=True)
    assert until(lambda: not pods(), 180)


def test_pod_whose_end_nobody_saw_is_reaped(retrained, runs, pods):
    """The triggerer is gone when a person gives the task up."""
    measured(runs, pods, "lost")
    runs.kill("triggerer")
    runs.mark_failed("evaluate", "lost", "report", 0)
    assert pods()
    runs.trigger("reaper", "now")
    assert runs.ended("reaper", "now", 120) == "success"
    assert until(lambda: not pods(), 180)
    runs.start("triggerer")
