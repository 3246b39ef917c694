"""An upgrade that Kubernetes would refuse for an object as a whole is refused by the value that asks for it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from tests.operators.conftest import CONFIG
from tests.operators.test_chart import HELM, chart_with_a_stand_in, helm

pytestmark = pytest.mark.skipif(HELM is None, reason="no helm: make .tools/helm")
SERVED = {
    "/api/v1": ("PersistentVolumeClaim", "ResourceQuota", "ServiceAccount", "ConfigMap", "Service", "Pod"),
    "/apis/apps/v1": ("StatefulSet", "Deployment"),
    "/apis/batch/v1": ("Job", "CronJob"),
    "/apis/scheduling.k8s.io/v1": ("PriorityClass",),
    "/apis/networking.k8s.io/v1": ("NetworkPolicy", "Ingress"),
    "/apis/policy/v1": ("PodDisruptionBudget",),
    "/apis/rbac.authorization.k8s.io/v1": ("Role", "RoleBinding"),
}
OF_THE_CLUSTER = {"PriorityClass"}
PLURALS = {"PriorityClass": "priorityclasses", "NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}


def plural(kind: str) -> str:
    return PLURALS.get(kind, f"{kind.lower()}s")


KINDS = {path: [(plural(kind), kind, kind not in OF_THE_CLUSTER) for kind in kinds] for path, kinds in SERVED.items()}
GROUPS = [
    {"name": name, "versions": [{"groupVersion": f"{name}/v1", "version": "v1"}]}
    for name in (path.split("/")[2] for path in SERVED if path.startswith("/apis/"))
]


def of_size(size: str) -> dict:
    return {"spec": {"volumeClaimTemplates": [{"spec": {"resources": {"requests": {"storage": size}}}}]}}


OBJECTS = {
    "/apis/apps/v1/namespaces/factory/statefulsets/house-postgres": of_size("20Gi"),
    "/apis/apps/v1/namespaces/factory/statefulsets/house-store": of_size("500Gi"),
    "/api/v1/namespaces/factory/persistentvolumeclaims/house-models": {
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast"}
    },
    "/apis/scheduling.k8s.io/v1/priorityclasses/factory-house-stage": {"value": 1000},
}
"""As an install of the preset ``single-gpu-node`` left them."""


def answer(path: str) -> tuple[int, dict]:
    if path == "/version":
        return 200, {"major": "1", "minor": "36", "gitVersion": "v1.36.0"}
    if path == "/api":
        return 200, {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": GROUPS}
    if path in KINDS:
        resources = [
            {"name": name, "kind": kind, "namespaced": namespaced, "verbs": ["get"]} for name, kind, namespaced in KINDS[path]
        ]
        version = path.removeprefix("/apis/").removeprefix("/api/")
        return 200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}
    if path in OBJECTS:
        [version] = [prefix for prefix in KINDS if path.startswith(prefix)]
        kind = next(kind for name, kind, _ in KINDS[version] if f"/{name}/" in path)
        stored = {"apiVersion": version.removeprefix("/apis/").removeprefix("/api/"), "kind": kind}
        return 200, stored | {"metadata": {"name": path.rpartition("/")[2]}} | OBJECTS[path]
    return 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        code, body = answer(self.path.partition("?")[0])
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def upgrade(tmp_path_factory):
    """Render against the cluster, as an upgrade does: call with settings."""
    directory = tmp_path_factory.mktemp("upgrade")
    chart = chart_with_a_stand_in(directory)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(CONFIG.format(server=f"http://127.0.0.1:{server.server_port}"))
    preset = ["--namespace", "factory", "--values", chart / "presets" / "single-gpu-node.yaml"]

    def rendered(*settings: str):
        options = ["--kubeconfig", kubeconfig, "--dry-run=server", "--disable-openapi-validation", "--is-upgrade"]
        return helm("template", "house", chart, *preset, *options, *(f"--set={setting}" for setting in settings))

    yield rendered
    server.shutdown()
    server.server_close()
    thread.join()


def test_upgrade_with_the_same_values_is_taken(upgrade):
    for settings in ((), ("postgres.size=20480Mi", "models.storageClass=fast", "models.size=1Ti")):
        done = upgrade(*settings)
        assert done.returncode == 0, done.stderr
        assert any(made for made in yaml.safe_load_all(done.stdout))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("postgres.size=30Gi", "postgres.size is 20Gi on the cluster and cannot become 30Gi in place"),
        ("store.seaweedfs.size=1Ti", "store.seaweedfs.size is 500Gi on the cluster and cannot become 1Ti in place"),
        ("postgres.storageClass=slow", 'postgres.storageClass is "" on the cluster and cannot become "slow" in place'),
        ("models.accessMode=ReadWriteMany", "models.accessMode is ReadWriteOnce on the cluster and cannot become ReadWriteMany"),
        ("models.storageClass=slow", "models.storageClass is fast on the cluster and cannot become slow"),
        ("stages.priorityClass.value=5", "stages.priorityClass.value is 1000 on the cluster and cannot become 5"),
    ],
)
def test_upgrade_of_an_immutable_value_is_refused_by_its_name(upgrade, setting, said):
    done = upgrade(setting)
    assert done.returncode != 0
    assert said in done.stderr
