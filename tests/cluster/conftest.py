"""A real Kubernetes: the one that ``KUBECONFIG`` points to. Where none answers, every test here skips with one line.

``STILLHOUSE_TEST_IMAGE`` is a worker image that its nodes have or can pull, ``STILLHOUSE_NAMESPACE`` where pods may run.
"""

import contextlib
import os

import pytest
from kubernetes.client.exceptions import ApiException

from tests.cluster.waiting import until
from tests.operators.conftest import context, run, valid

__all__ = ["context", "run", "until", "valid"]

NAMESPACE = os.environ.get("STILLHOUSE_NAMESPACE", "stillhouse")
IMAGE = os.environ.get("STILLHOUSE_TEST_IMAGE", "localhost/stillhouse/worker:test")


def missing() -> str | None:
    """Why there is no cluster to test on; None where one answers."""
    from kubernetes import client, config
    from kubernetes.config import ConfigException
    from urllib3.exceptions import HTTPError

    if not os.environ.get("KUBECONFIG"):
        return "KUBECONFIG is not set: no cluster to test on"
    try:
        config.load_kube_config(os.environ["KUBECONFIG"])
        client.VersionApi().get_code(_request_timeout=5)
    except (ApiException, ConfigException, HTTPError, OSError) as error:
        return f"no cluster answers at KUBECONFIG: {error}"
    return None


@pytest.fixture(scope="session")
def core():
    """The cluster's core API."""
    from kubernetes import client

    return client.CoreV1Api()


@pytest.fixture(scope="session")
def release(tmp_path_factory):
    """The chart, installed."""
    from tests.cluster.release import installed

    with installed(tmp_path_factory.mktemp("release")) as release:
        yield release


@pytest.fixture(autouse=True)
def cluster(core, monkeypatch):
    """Operators talk to the cluster; what a test leaves is deleted."""
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", "kubernetes://")
    monkeypatch.setenv("STILLHOUSE_NAMESPACE", NAMESPACE)
    monkeypatch.setenv("STILLHOUSE_PULL_POLICY", "IfNotPresent")
    yield core
    for pod in left(core):
        with contextlib.suppress(ApiException):  # it went in the meantime
            core.delete_namespaced_pod(pod.metadata.name, NAMESPACE, grace_period_seconds=0)
    assert until(lambda: not left(core))


def left(core) -> list:
    """The stages' pods that are there, be it on their way out."""
    return core.list_namespaced_pod(NAMESPACE, label_selector="app.kubernetes.io/component=stage").items


def stages(core) -> list:
    """Those that are not on their way out."""
    return [pod for pod in left(core) if pod.metadata.deletion_timestamp is None]
