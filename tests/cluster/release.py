"""The chart as a release on the cluster: the preset ``kind`` without what needs other people's images or charts.

Airflow's own chart and PostgreSQL are left out; Airflow runs here, as the chart's launcher and with the chart's settings. Pods and
Airflow reach MLflow and the store by their pods' addresses, so that a cluster without names and service addresses will do.
"""

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from kubernetes import client

from tests.cluster.conftest import IMAGE, until
from tests.operators.test_chart import CHART, HELM, chart_with_a_stand_in

NAME, BUCKET = "house", "stillhouse"
KEEPS_S = 3600
READY_S = 240


@dataclass(frozen=True)
class Release:
    """What the tests need of it."""

    namespace: str
    launcher: Path
    """A kubeconfig with the rights of the account that Airflow's scheduler and triggerer have."""
    environment: dict[str, str]
    """What the chart gives to Airflow, with addresses for names, and the credentials."""


@contextmanager
def installed(directory: Path) -> Iterator[Release]:
    """Install it in a namespace of its own, wait until it answers, and remove all of it."""
    if HELM is None:
        pytest.skip("no helm: make .tools/helm")
    core, namespace = client.CoreV1Api(), f"house-{secrets.token_hex(3)}"
    core.create_namespace({"metadata": {"name": namespace}})
    try:
        credentials = make_secrets(core, namespace)
        make_volume(core, namespace, directory)
        options = ["--namespace", namespace, "--values", values(directory)]
        subprocess.run([HELM, "install", NAME, chart_of_this_cluster(directory), *options], check=True)
        store = address(core, namespace, "store")
        resolve(namespace, {f"{NAME}-store": store})
        mlflow = address(core, namespace, "mlflow")
        given = core.read_namespaced_config_map(f"{NAME}-environment", namespace).data
        reached = {"AWS_ENDPOINT_URL": f"http://{store}:8333", "MLFLOW_TRACKING_URI": f"http://{mlflow}:5000"}
        yield Release(namespace, kubeconfig(core, namespace, directory), given | reached | credentials)
    finally:
        subprocess.run([HELM, "uninstall", NAME, "--namespace", namespace, "--ignore-not-found"], check=True)
        core.delete_namespace(namespace)
        assert until(lambda: namespace not in [item.metadata.name for item in core.list_namespace().items], READY_S)
        for volume in core.list_persistent_volume(label_selector=f"stillhouse/test={namespace}").items:
            core.delete_persistent_volume(volume.metadata.name)


def chart_of_this_cluster(directory: Path) -> Path:
    """The chart, without the line by which it refuses an API that is too old for several-node jobs."""
    copy = chart_with_a_stand_in(directory)
    facts = yaml.safe_load((copy / "Chart.yaml").read_text())
    if tuple(int(part.rstrip("+")) for part in (version().major, version().minor)) < (1, 27):
        del facts["kubeVersion"]
    (copy / "Chart.yaml").write_text(yaml.safe_dump(facts))
    return copy


def version() -> client.VersionInfo:
    return client.VersionApi().get_code()


def values(directory: Path) -> Path:
    """The preset and what differs from it here."""
    registry, _, tag = IMAGE.rpartition("/worker:")
    own = {
        "images": {"registry": registry, "tag": tag},
        "secrets": {"generate": False},
        "postgres": {"enabled": False},
        "airflow": {"enabled": False},
        "mlflow": {"hosts": ["*"]},
        "stages": {"profiles": "toy"},
    }
    file = directory / "values.yaml"
    merged = yaml.safe_load((CHART / "presets" / "kind.yaml").read_text())
    for name, given in own.items():
        merged[name] = merged.get(name, {}) | given
    file.write_text(yaml.safe_dump(merged))
    return file


def make_secrets(core, namespace: str) -> dict[str, str]:
    """Those that the chart names, with random passwords and MLflow's tables in a file; returns the stages'."""
    password = secrets.token_urlsafe(24)
    ini = "[mlflow]\ndefault_permission = READ\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    stage = {
        "AWS_ACCESS_KEY_ID": "stillhouse", "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(24),
        "MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": password,
    }  # fmt: skip
    mlflow = {
        "MLFLOW_BACKEND_STORE_URI": "sqlite:////scratch/mlflow.db", "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(24),
        "MLFLOW_AUTH_ADMIN_USERNAME": "admin", "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        "auth.ini": f"{ini}database_uri = sqlite:////scratch/auth.db\n",
    }  # fmt: skip
    for name, keys in {"stillhouse-stage": stage, "stillhouse-mlflow": mlflow}.items():
        core.create_namespaced_secret(namespace, {"metadata": {"name": name}, "stringData": keys})
    return stage


def make_volume(core, namespace: str, directory: Path) -> None:
    """For the store, where nothing makes volumes: a directory of this machine, which then is the only node."""
    if client.StorageV1Api().list_storage_class().items:
        return
    data = directory / "store"
    data.mkdir()
    data.chmod(0o777)
    body = {
        "metadata": {"name": namespace, "labels": {"stillhouse/test": namespace}},
        "spec": {
            "capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": str(data)},
            "claimRef": {"name": f"data-{NAME}-store-0", "namespace": namespace},
        },
    }  # fmt: skip
    core.create_persistent_volume(body)


def address(core, namespace: str, component: str) -> str:
    """The address of the component's pod, once it is ready and the only one."""
    selector = f"app.kubernetes.io/component={component}"

    def ready() -> list[str]:
        pods = core.list_namespaced_pod(namespace, label_selector=selector).items
        fine = [pod for pod in pods if any(item.ready for item in pod.status.container_statuses or ())]
        return [pod.status.pod_ip for pod in fine] if len(fine) == len(pods) == 1 else []

    assert until(ready, READY_S), f"{component} did not start: {core.list_namespaced_pod(namespace, label_selector=selector)}"
    return ready()[0]


def resolve(namespace: str, names: dict[str, str]) -> None:
    """Tell MLflow's pod the store's address: what the cluster's names would."""
    aliases = [{"ip": ip, "hostnames": [name]} for name, ip in names.items()]
    patch = {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}, "template": {"spec": {"hostAliases": aliases}}}}
    client.AppsV1Api().patch_namespaced_deployment(f"{NAME}-mlflow", namespace, patch)
    assert until(lambda: _rolled_out(namespace), READY_S)


def _rolled_out(namespace: str) -> bool:
    found = client.AppsV1Api().read_namespaced_deployment(f"{NAME}-mlflow", namespace)
    return found.status.observed_generation == found.metadata.generation and found.status.ready_replicas == 1


def kubeconfig(core, namespace: str, directory: Path) -> Path:
    """Of the chart's launcher, by a token that Kubernetes issues for it."""
    request = {"spec": {"expirationSeconds": KEEPS_S, "audiences": []}}
    token = core.create_namespaced_service_account_token("stillhouse-launcher", namespace, request).status.token
    known = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    entry = {"name": "launcher", "context": {"cluster": "here", "user": "launcher", "namespace": namespace}}
    made = known | {
        "clusters": [{"name": "here", "cluster": known["clusters"][0]["cluster"]}],
        "users": [{"name": "launcher", "user": {"token": token}}],
        "contexts": [entry],
        "current-context": "launcher",
    }
    file = directory / "launcher.yaml"
    file.touch(0o600)
    file.write_text(yaml.safe_dump(made))
    return file
