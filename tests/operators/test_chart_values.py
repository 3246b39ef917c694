"""Wrong values are refused by name, in one line each: typos at every level, wrong types, what Kubernetes would refuse halfway."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from tests.operators.test_chart import CHART, HELM, ROOT, chart_with_a_stand_in, helm

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
FREE = {
    ("airflow",), ("stages", "fabric"), ("stages", "pods"), ("stages", "gpuNodes"), ("stages", "cpuNodes"), ("images", "digests"),
    ("identity", "stage"), ("identity", "launcher"), ("identity", "mlflow"), ("pods", "labels"), ("pods", "annotations"),
    ("pods", "nodeSelector"), ("monitoring", "labels"), ("mlflow", "ingress", "annotations"),
    ("auth", "oidc", "airflow", "ingress", "annotations"), ("mlflow", "resources", "requests"), ("mlflow", "resources", "limits"),
}  # fmt: skip
"""Mappings whose keys the user chooses."""


def walk(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value with its path, from the top; nothing inside mappings whose keys are free."""
    yield path, value
    if isinstance(value, dict) and path not in FREE:
        for name, inner in value.items():
            yield from walk(inner, (*path, name))


EVERYWHERE = dict(walk(VALUES))
MAPPINGS = [path for path, value in EVERYWHERE.items() if isinstance(value, dict) and path not in FREE]
LEAVES = [path for path, value in EVERYWHERE.items() if not isinstance(value, dict)]


def changed(path: tuple[str, ...], value: Any) -> dict:
    values = copy.deepcopy(VALUES)
    inner = values
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return values


def errors(values: dict) -> list[str]:
    """What the schema says, each with the path."""
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in VALIDATOR.iter_errors(values)]


def test_values_of_the_chart_are_right():
    assert errors(VALUES) == []
    assert {len(path) for path in MAPPINGS} == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("path", MAPPINGS, ids=".".join)
def test_typo_is_refused_at_every_level(path):
    [said] = errors(changed((*path, "tpyo"), 1))
    assert said.startswith(".".join(path))
    assert "tpyo" in said


@pytest.mark.parametrize("path", LEAVES, ids=".".join)
def test_wrong_type_is_refused_at_every_leaf(path):
    for wrong in ({"a": 1}, None):
        said = errors(changed(path, wrong))
        assert said
        assert all(line.startswith(".".join(path)) for line in said)


WRONG = {
    "images.registry": ["https://registry.example.org", "registry.example.org/", "Registry/x", "a b", "registry:port/x", ""],
    "images.tag": ["latest", "v1/x", ".1", "-1", "x" * 129, "a b"],
    "images.digests": [{"worker": "sha256:1"}, {"wroker": f"sha256:{'a' * 64}"}],
    "images.pullSecret": ["My Secret", "-a"],
    "store.uri": ["/data", "s3://", "s3://Bucket", "s3://a b", "s3://bucket/prefix", "gs://bucket"],
    "store.endpoint": ["minio:9000", "https://a b"],
    "store.region": ["", "eu central"],
    "store.seaweedfs.size": ["20GB", "20 Gi", "large", "-1Gi"],
    "mlflow.hosts": [["https://mlflow.example.org"], ["mlflow.example.org/path"], [""], "mlflow.example.org"],
    "mlflow.resources": [{"request": {}}, {"limits": {"memory": "2GB"}}],
    "auth.oidc.image": ["oauth2-proxy", "quay.io:5000/oauth2-proxy", "x:latest", "a b:1"],
    "postgres.image": ["postgres", "postgres:latest", "https://docker.io/postgres:17"],
    "pods.tolerations": [[{"kee": "x"}], [{"key": "x", "operator": "Is"}], [{}], {"key": "x"}],
    "pods.nodeSelector": [{"pool": "a b"}, {"pool": True}, {"a b": "x"}, {"pool": "x" * 64}],
    "pods.env": [[{"name": "A"}], [{"name": "A", "value": 1}], [{"NAME": "A", "value": "1"}], [{"name": "1A", "value": "1"}]],
    "pods.volumes": [[{"name": "a"}], [{"emptyDir": {}}], [{"name": "A_b", "emptyDir": {}}]],
    "pods.volumeMounts": [[{"name": "a", "mountPath": "x"}], [{"name": "a", "path": "/x"}]],
    "pods.imagePullSecrets": [[{"name": "a"}], "a"],
    "capacity.gpus": [-1, "8", 1.5],
    "stages.gpuNodes": [{"pool": "a,b"}, {"pool": 1}],
    "stages.pods": [{"stf": {}}, {"sft": {"tolerations": []}}, {"all": {"metadata": {"name": "x"}}}, {"all": {"spec": []}}],
    "stages.fabric": [{"NCLC_DEBUG": "INFO"}],
    "stages.pendingSeconds": ["soon", 59],
    "stages.perGpu": [{"cpus": 0, "memory": 1}, {"cpus": 6}],
    "stages.train": [{"gpus": 1, "nodes": 1, "sharding": "zero-9"}],
    "stages.priorityClass": [{"create": True, "name": "", "value": 1_000_000_001}],
    "models.fetch": [["Qwen/Qwen2.5-32B"], [""]],
    "models.accessMode": ["ReadWriteEverywhere"],
    "monitoring.from": [[], [{}], [{"namespaceSelectr": {}}], [{"namespaceSelector": {"matchLabel": {}}}]],
    "monitoring.interval": ["30", "1h30m"],
    "backup.schedule": ["", "daily", "1 2 3 4", "every night at 1"],
    "backup.restore": ["yesterday"],
    "prune.schedule": ["@never", "0 5 * *"],
    "alerts.webhook": ["hooks.example.org"],
    "networkPolicies.storeEgress": [[{"cidr": "10.0.0.0", "ports": [443]}], [{"cidr": "0.0.0.0/33", "ports": [443]}],
                                    [{"cidr": "300.0.0.0/8", "ports": [443]}], [{"cidr": "::/0", "ports": []}]],
    "networkPolicies.uiFrom": [[{}], [{"podSelectors": {}}]],
}  # fmt: skip


@pytest.mark.parametrize(("path", "wrong"), [(path, value) for path, values in WRONG.items() for value in values])
def test_wrong_value_is_refused_by_name(path, wrong):
    said = errors(changed(tuple(path.split(".")), wrong))
    assert said
    assert all(line.startswith(path) for line in said)


RIGHT = {
    "images.registry": ["localhost/stillhouse", "registry:5000", "1.dkr.ecr.eu-west-1.amazonaws.com/team/house", "a.b-c/d__e"],
    "images.tag": ["", "0.1.0", "v1_x-2"],
    "store.uri": ["s3://my.bucket-1"],
    "store.endpoint": ["", "http://minio:9000", "https://s3.example.org/path"],
    "mlflow.hosts": [["*"], ["mlflow.example.org", "node:30500"], []],
    "mlflow.resources": [{"requests": {"cpu": 1, "memory": "2Gi"}, "limits": {"nvidia.com/gpu": "1"}}, {}],
    "postgres.image": ["postgres:17", "r:5000/a/postgres:17.2-bookworm", f"postgres@sha256:{'a' * 64}"],
    "pods.tolerations": [[{"operator": "Exists"}], [{"key": "a/b", "value": "x", "effect": "NoExecute", "tolerationSeconds": 5}]],
    "pods.env": [[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}]],
    "backup.schedule": ["30 1 * * *", "*/15 0-6 1,15 JAN MON-FRI", "@daily"],
    "prune.schedule": ["", "0 5 * * 0"],
    "networkPolicies.storeEgress": [[{"cidr": "::/0", "ports": [443]}], [{"cidr": "255.255.255.255/32", "ports": [1, 65535]}]],
    "networkPolicies.uiFrom": [[], [{"podSelector": {}}], [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]],
}  # fmt: skip


@pytest.mark.parametrize(("path", "right"), [(path, value) for path, values in RIGHT.items() for value in values])
def test_unusual_value_that_is_right_is_taken(path, right):
    assert errors(changed(tuple(path.split(".")), right)) == []


def merged(values: dict, own: dict) -> dict:
    """The values with a user's, as helm merges them."""
    both = {name: merged(values[name], own[name]) for name in values.keys() & own.keys() if isinstance(own[name], dict)}
    return values | own | both


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.+?)```", (ROOT / "docs" / "cluster.md").read_text(), re.DOTALL))
def test_example_of_the_page_is_right(text):
    assert errors(merged(VALUES, yaml.safe_load(text))) == []


@pytest.fixture(scope="module")
def chart(tmp_path_factory):
    if HELM is None:
        pytest.skip("no helm: make .tools/helm")
    return chart_with_a_stand_in(tmp_path_factory.mktemp("chart"))


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("house", ["image.tag=1"], "at '': additional properties 'image' not allowed"),
        ("house", ["stages.perGpu.cpu=8"], "at '/stages/perGpu': additional properties 'cpu' not allowed"),
        ("house", ["capacity.gpus=many"], "at '/capacity/gpus': got string, want integer"),
        ("house", ["mlflow.enabled=false"], "at '/mlflow/uri'"),
        ("house", ["stages.train.nodes=9"], "stages.train takes 9 GPUs"),
        ("house", ["capacity.teacherGpus=8"], "leaves 0"),
        ("house", ["capacity.teacherGpus=9"], "capacity.teacherGpus is 9, of capacity.gpus 8"),
        ("house", ["models.claim=", "models.create=false", "models.fetch={hf://a/b}"], "models.fetch needs models.claim"),
        ("house", ["networkPolicies.storeEgress=[]"], "networkPolicies.storeEgress is empty"),
        ("house", ["backup.restore=latest"], "backup.restore needs postgres.enabled"),
        ("house", ["stages.scheduler=volcano", "stages.queuePriority=high"], "stages.queuePriority is Kueue's"),
        ("h" * 36, [], "the release's name has 36 characters"),
        ("h" * 53, [], "the release's name has 53 characters"),
        ("my.house", [], "the release's name is my.house"),
        ("1house", [], "the release's name is 1house"),
    ],
)
def test_helm_says_in_one_line_what_is_wrong(chart, name, settings, said):
    done = helm("template", name, chart, *(f"--set{'-json' * ('[' in setting)}={setting}" for setting in settings))
    assert done.returncode != 0
    [line] = [line for line in done.stderr.splitlines() if said in line]
    assert "\t" not in line


def test_longest_name_of_a_release_makes_names_that_kubernetes_takes(chart):
    """Services, Jobs and the labels that Jobs and StatefulSets give their pods have 63 characters, CronJobs 52."""
    name, options = "h" * 35, ["--set=backup.restore=2026-11-28T01-30-00", "--set=monitoring.enabled=true"]
    oidc = ["enabled=true", "issuer=https://x", "clientId=x", "groups={x}"]
    options += [f"--set=auth.oidc.{setting}" for setting in oidc]
    done = helm("template", name, chart, "--namespace", "n" * 63, "--values", chart / "presets" / "kind.yaml", *options)
    assert done.returncode == 0, done.stderr
    objects = [made for made in yaml.safe_load_all(done.stdout) if made]
    room = {"CronJob": 52, "StatefulSet": 52, "Deployment": 52, "Job": 63, "Service": 63, "Pod": 63}
    assert {made["kind"] for made in objects} >= room.keys()
    long = [made["metadata"]["name"] for made in objects if len(made["metadata"]["name"]) > room.get(made["kind"], 253)]
    assert long == []
    labels = [value for made in objects for value in made["metadata"].get("labels", {}).values()]
    assert [value for value in labels if len(value) > 63] == []
