import json

import pytest

from operators import pod_overrides, serving_objects
from operators.job import StageJob
from operators.placement import gpu
from operators.pod import StagePod
from stillhouse.errors import BadConfig

GIVEN = {"task_id": "sft-1", "stage": "sft", "recipe": "@toy/sft-1", "target": "s3://b/sft/d/1", "post_execute": None}
SPOT = {"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
FOR_ALL = {
    "metadata": {"annotations": {"example.org/team": "research"}},
    "spec": {
        "runtimeClassName": "nvidia", "tolerations": [SPOT],
        "containers": [{
            "name": "base", "env": [{"name": "SSL_CERT_FILE", "value": "/ca/ca.pem"}, {"name": "OMP_NUM_THREADS", "value": "2"}],
            "volumeMounts": [{"name": "ca", "mountPath": "/ca"}],
        }],
        "volumes": [{"name": "ca", "configMap": {"name": "private-ca"}}],
    },
}  # fmt: skip
FOR_SFT = {"spec": {"containers": [{"name": "base", "resources": {"limits": {"rdma/hca": "1"}, "requests": {"rdma/hca": "1"}}}]}}


@pytest.fixture
def overrides(monkeypatch):
    return lambda patches: monkeypatch.setenv("STILLHOUSE_POD_OVERRIDES", json.dumps(patches))


def check(body: dict) -> None:
    """That the pod has what was added, and what it had before."""
    spec = body["spec"]
    [base] = spec["containers"]
    assert body["metadata"]["annotations"]["example.org/team"] == "research"
    assert spec["runtimeClassName"] == "nvidia"
    assert [entry["key"] for entry in spec["tolerations"]] == ["nvidia.com/gpu", "cloud.google.com/gke-spot"]
    assert {"scratch", "ca"} <= {volume["name"] for volume in spec["volumes"]}
    assert {"/scratch", "/ca"} <= {mount["mountPath"] for mount in base["volumeMounts"]}
    variables = {entry["name"]: entry.get("value") for entry in base["env"]}
    assert (variables["SSL_CERT_FILE"], variables["OMP_NUM_THREADS"], variables["HOME"]) == ("/ca/ca.pem", "2", "/scratch")
    assert base["securityContext"]["readOnlyRootFilesystem"] is True


def test_patch_for_all_reaches_a_stage(valid, context, overrides, cluster):
    overrides({"all": FOR_ALL})
    check(valid(StagePod(**GIVEN, **gpu(1)).build_pod_request_obj(context)))


def test_patch_for_all_and_of_the_stage_reach_every_pod_of_a_job(valid, context, overrides, cluster):
    overrides({"all": FOR_ALL, "sft": FOR_SFT, "rl": {"spec": {"runtimeClassName": "other"}}})
    task = StageJob(**GIVEN, **gpu(8, nodes=2))
    task.render_template_fields(context)
    template = valid(task.build_job_request_obj(context))["spec"]["template"]
    check(template)
    assert template["spec"]["containers"][0]["resources"]["limits"].items() >= {"nvidia.com/gpu": "8", "rdma/hca": "1"}.items()


def test_patch_for_all_reaches_a_teacher(valid, overrides):
    overrides({"all": FOR_ALL})
    settings = {
        "name": "x",
        "model": "m",
        "run": "",
        "gpus": 1,
        "nodes": 1,
        "replicas": 1,
        "arguments": [],
        "where": gpu(1, "vllm"),
    }
    deployment, _ = serving_objects.objects("teacher-x-1", settings, {})
    check(valid(deployment)["spec"]["template"])


def test_null_removes_what_was_there(overrides, context, valid, cluster):
    limits = {"nvidia.com/gpu": None, "nvidia.com/mig-3g.40gb": "1"}
    resources = {"limits": limits, "requests": limits}
    overrides({"sft": {"spec": {"containers": [{"name": "base", "resources": resources}]}}})
    [base] = valid(StagePod(**GIVEN, **gpu(1)).build_pod_request_obj(context))["spec"]["containers"]
    assert "nvidia.com/gpu" not in base["resources"]["limits"] | base["resources"]["requests"]
    assert base["resources"]["limits"]["nvidia.com/mig-3g.40gb"] == "1"


def test_pod_is_as_before_without_patches(overrides, context, cluster):
    pod = StagePod(**GIVEN, **gpu(1)).build_pod_request_obj(context)
    assert pod_overrides.applied(pod, "sft") is pod


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "text: Invalid JSON"),
        ("[]", "text: Input should be an object"),
        ('{"all": {"tolerations": []}}', "all.tolerations: Extra inputs are not permitted"),
        ('{"all": {"spec": {"containers": [{"image": "x"}]}}}', "has no name, by which it is merged"),
    ],
)
def test_patch_that_is_none_is_refused_in_one_line(monkeypatch, context, cluster, text, message):
    monkeypatch.setenv("STILLHOUSE_POD_OVERRIDES", text)
    with pytest.raises(BadConfig, match=f"STILLHOUSE_POD_OVERRIDES: .*{message}"):
        StagePod(**GIVEN, **gpu(1)).build_pod_request_obj(context)


BASE = {"name": "base"}


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ({"runtimeClasName": "nvidia"}, "spec.runtimeClasName"),
        ({"tolerations": [{"key": "a"}, {"kee": "b"}]}, "spec.tolerations[2].kee"),
        ({"containers": [BASE | {"resources": {"limit": {"rdma/hca": "1"}}}]}, "spec.containers[0].resources.limit"),
        ({"containers": [BASE | {"env": [{"name": "A", "valeu": "1"}]}]}, "spec.containers[0].env"),
        ({"volumes": [{"name": "ca", "configmap": {"name": "ca"}}]}, "spec.volumes"),
        ({"nodeSelector": "pool"}, "spec.nodeSelector"),
        ({"securityContext": {"fsGruop": 1}}, "spec.securityContext.fsGruop"),
    ],
)
def test_patch_with_a_field_that_a_pod_does_not_have_is_refused_by_its_place(overrides, context, cluster, spec, place):
    overrides({"sft": {"spec": spec}})
    with pytest.raises(BadConfig) as raised:
        StagePod(**GIVEN, **gpu(1)).build_pod_request_obj(context)
    assert place in str(raised.value)
    assert "\n" not in str(raised.value)


def test_patch_of_a_profile_is_checked_too(context, cluster):
    task = StagePod(**GIVEN, **gpu(1), pod={"hostNetwrok": True})
    with pytest.raises(BadConfig, match="a pod has no spec.hostNetwrok"):
        task.build_pod_request_obj(context)
