"""The chart as a release: what the API server takes, what the launcher may do, and what the quota refuses."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowException
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from operators import serving, teacher
from operators.placement import cpu, gpu
from operators.pod import StagePod
from tests.cluster.conftest import missing, until
from tests.cluster.release import CHART, HELM, NAME, chart_with_a_stand_in
from tests.operators.test_chart import PRESETS

if reason := missing():
    pytest.skip(reason, allow_module_level=True)

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def launcher(release):
    """A client with the rights of Airflow's scheduler and triggerer."""
    return config.new_client_from_config(str(release.launcher))


@pytest.mark.parametrize("preset", PRESETS)
def test_objects_of_a_preset_are_taken_by_the_api_server(release, preset, tmp_path):
    """Nothing is made. Those that the release made are there already; before 1.21 no disruption budget is known."""
    kubectl = shutil.which("kubectl") or Path(HELM).with_name("kubectl")
    render = [HELM, "template", NAME, chart_with_a_stand_in(tmp_path), "--kube-version", "1.30", "--namespace", release.namespace]
    objects = subprocess.run([*render, "--values", CHART / "presets" / f"{preset}.yaml"], capture_output=True, check=True).stdout
    create = [kubectl, "create", "--dry-run=server", "--namespace", release.namespace, "--filename", "-"]
    done = subprocess.run(create, input=objects, capture_output=True)
    fine = ("AlreadyExists", 'no matches for kind "PodDisruptionBudget"', "ensure CRDs are installed first")
    refused = [line for line in done.stderr.decode().splitlines() if not any(each in line for each in fine)]
    assert refused == []
    assert b"created (server dry run)" in done.stdout


def test_launcher_may_do_what_its_role_says_and_no_more(release, launcher):
    review = {"spec": {"namespace": release.namespace}}
    rules = client.AuthorizationV1Api(launcher).create_self_subject_rules_review(review).status.resource_rules
    may = {
        (group, resource, verb)
        for rule in rules
        if rule.api_groups != ["authorization.k8s.io"]
        for group in rule.api_groups
        for resource in rule.resources
        for verb in rule.verbs
    }
    role = client.RbacAuthorizationV1Api().read_namespaced_role(f"{NAME}-launcher", release.namespace)
    says = {
        (group, resource, verb)
        for rule in role.rules
        for group in rule.api_groups
        for resource in rule.resources
        for verb in rule.verbs
    }
    assert may - says <= {("authentication.k8s.io", "selfsubjectreviews", "create")}
    assert says <= may


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda core, mine: core.list_namespaced_secret(mine),
        lambda core, mine: core.read_namespaced_secret("stillhouse-stage", mine),
        lambda core, mine: core.list_namespaced_pod("kube-system"),
        lambda core, mine: core.delete_collection_namespaced_pod(mine),
        lambda core, mine: core.create_namespaced_config_map(mine, {"metadata": {"name": "x"}}),
        lambda core, mine: core.list_node(),
    ],
    ids=["list secrets", "read a secret", "another namespace", "delete all pods", "make a config map", "nodes"],
)
def test_launcher_is_forbidden_what_it_does_not_need(release, launcher, forbidden):
    with pytest.raises(ApiException) as raised:
        forbidden(client.CoreV1Api(launcher), release.namespace)
    assert raised.value.status == 403


@pytest.fixture
def as_launcher(release, monkeypatch):
    """Operators have the chart's settings and the launcher's rights."""
    for name, value in release.environment.items():
        if name.startswith("STILLHOUSE_"):
            monkeypatch.setenv(name, value)
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(release.launcher)}}
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps(connection))


def test_stage_beyond_the_quota_is_refused_and_says_so(as_launcher, context, run):
    task = StagePod(task_id="graded", stage="graded", recipe="@toy/graded", target="s3://b/graded/toy/1", **cpu(5))
    said = r"^the cluster refused the pod: .*exceeded quota: house-stages, requested: .*capacity$"
    with pytest.raises(AirflowException, match=said):
        run(task, context)


@pytest.mark.parametrize("nodes", [1, 2])
def test_teacher_is_made_and_goes_with_all_it_has(as_launcher, release, context, nodes):
    admin = config.new_client_from_config()
    apps, core = client.AppsV1Api(admin), client.CoreV1Api(admin)
    settings = {
        "name": "qwq-32b", "model": "hf://Qwen/QwQ-32B", "run": "", "gpus": 1, "nodes": nodes, "replicas": 1, "arguments": [],
        "where": gpu(1, "vllm"),
    }  # fmt: skip
    unique = serving.in_run("qwq-32b", context["ti"])
    for _ in range(2):  # a second try finds it there
        serving.make(unique, settings, serving.owned_by(context["ti"], "stop"))
    assert core.read_namespaced_service(unique, release.namespace).spec.ports[0].port == teacher.PORT
    assert not serving.ready(unique)  # the release has no GPU
    serving.delete(unique)
    listed = (apps.list_namespaced_deployment, apps.list_namespaced_stateful_set)
    assert until(lambda: not [each for kind in listed for each in kind(release.namespace).items if unique in each.metadata.name])
    assert unique not in [each.metadata.name for each in core.list_namespaced_service(release.namespace).items]
    serving.delete(unique)
