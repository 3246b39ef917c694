"""What guards stages on a real cluster: Pod Security, disruption budgets, and network policies where they are enforced."""

import json

import pytest
import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from operators.job import StageJob
from operators.placement import gpu
from operators.pod import StagePod
from tests.cluster import abilities
from tests.cluster.conftest import IMAGE, missing, until
from tests.cluster.release import CHART, chart_with_a_stand_in
from tests.operators.test_chart import HELM, helm

if reason := missing():
    pytest.skip(reason, allow_module_level=True)

pytestmark = pytest.mark.timeout(300)

GIVEN = {"task_id": "sft-1", "stage": "sft", "recipe": "@toy/sft-1", "target": "s3://b/sft/toy/1", "image": IMAGE}
LISTENS = "import http.server as h; h.HTTPServer(('', {port}), h.BaseHTTPRequestHandler).serve_forever()"
REACHES = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()"


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """The chart's objects by kind and name."""
    if HELM is None:
        pytest.skip("no helm: make .tools/helm")
    chart = chart_with_a_stand_in(tmp_path_factory.mktemp("chart"))
    done = helm("template", "house", chart, "--kube-version", "1.30", "--values", CHART / "presets" / "cluster.yaml")
    assert done.returncode == 0, done.stderr
    return {(made["kind"], made["metadata"]["name"]): made for made in yaml.safe_load_all(done.stdout) if made}


@pytest.fixture(scope="module")
def restricted(core):
    with abilities.namespace(core, {"pod-security.kubernetes.io/enforce": "restricted"}) as name:
        if why := abilities.pod_security(core, name):
            pytest.skip(why)
        yield name


def test_pod_of_a_stage_is_taken_where_restricted_is_enforced(core, restricted, context):
    task = StagePod(**GIVEN, **gpu(1))
    task.render_template_fields(context)
    pod = task.build_pod_request_obj(context)
    pod.metadata.namespace, pod.spec.service_account_name, pod.spec.priority_class_name = restricted, "default", None
    assert until(lambda: _account(core, restricted))
    taken = core.create_namespaced_pod(restricted, pod, dry_run="All", field_validation="Strict")
    assert taken.spec.security_context.run_as_non_root is True


def test_job_of_a_training_is_taken_without_a_warning_where_restricted_is_enforced(core, restricted, context):
    """Pod Security does not refuse a Job whose pods it would refuse: it warns."""
    if why := abilities.indexed_jobs():
        pytest.skip(why)
    task = StageJob(**GIVEN, **gpu(8, nodes=2))
    task.render_template_fields(context)
    job = task.build_job_request_obj(context)
    job.metadata.namespace = restricted
    batch = client.BatchV1Api(core.api_client)
    _, _, headers = batch.create_namespaced_job_with_http_info(restricted, job, dry_run="All")
    assert "violate PodSecurity" not in headers.get("Warning", "")


def test_workloads_of_the_chart_are_taken_where_restricted_is_enforced(core, restricted, objects):
    apps = client.AppsV1Api(core.api_client)
    creates = {"Deployment": apps.create_namespaced_deployment_with_http_info}
    mlflow = objects["Deployment", "house-mlflow"]
    _, _, headers = creates["Deployment"](restricted, mlflow | {"metadata": {"name": "house-mlflow"}}, dry_run="All")
    assert "violate PodSecurity" not in headers.get("Warning", "")
    pod = objects["Pod", "house-test-sandbox"]
    assert core.create_namespaced_pod(restricted, pod | {"metadata": {"name": "x"}}, dry_run="All").metadata.name == "x"


@pytest.fixture(scope="module")
def elsewhere(core):
    """A namespace in which pods run."""
    if why := abilities.runs_pods(core):
        pytest.skip(why)
    with abilities.namespace(core) as name:
        assert until(lambda: _account(core, name))
        yield name


@pytest.fixture
def started(core, elsewhere):
    """Start a pod with these labels that runs this Python program, and wait until it runs; it is deleted in the end."""
    names = []

    def start(name: str, program: str, labels: dict[str, str], *arguments: str) -> str:
        container = {"name": "base", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["python", "-c", program]}
        spec = {"containers": [container | {"args": list(arguments)}], "restartPolicy": "Never", "terminationGracePeriodSeconds": 0}
        core.create_namespaced_pod(elsewhere, {"metadata": {"name": name, "labels": labels}, "spec": spec})
        names.append(name)
        assert until(lambda: _pod(core, elsewhere, name).status.phase not in {None, "Pending"})
        return _pod(core, elsewhere, name).status.pod_ip

    yield start
    for name in names:
        core.delete_namespaced_pod(name, elsewhere, grace_period_seconds=0)
    assert until(lambda: not core.list_namespaced_pod(elsewhere).items)


def test_stage_is_not_drained_under_the_charts_budget(core, elsewhere, started, objects):
    if why := abilities.budgets(core, elsewhere):
        pytest.skip(why)
    budget = objects["PodDisruptionBudget", "house-stages"]
    policy = client.PolicyV1Api(core.api_client)
    policy.create_namespaced_pod_disruption_budget(elsewhere, budget | {"metadata": {"name": "house-stages"}})
    started("stage", "import time; time.sleep(250)", budget["spec"]["selector"]["matchLabels"])
    assert until(lambda: policy.read_namespaced_pod_disruption_budget("house-stages", elsewhere).status.observed_generation)
    with pytest.raises(ApiException) as refused:
        core.create_namespaced_pod_eviction("stage", elsewhere, {"metadata": {"name": "stage", "namespace": elsewhere}})
    assert refused.value.status == 429
    assert "disruption budget" in json.loads(refused.value.body)["message"]
    policy.delete_namespaced_pod_disruption_budget("house-stages", elsewhere)


@pytest.fixture
def reaches(core, elsewhere, started):
    """Whether a pod with these labels reaches an address and port: it tries once, and ends."""
    tries = iter(range(1000))

    def tried(labels: dict[str, str], ip: str, port: int) -> bool:
        name = f"client-{next(tries)}"
        started(name, REACHES, labels, ip, str(port))
        assert until(lambda: _pod(core, elsewhere, name).status.phase in {"Succeeded", "Failed"})
        return _pod(core, elsewhere, name).status.phase == "Succeeded"

    return tried


def test_stage_reaches_mlflow_alone_and_nobody_reaches_a_stage(core, elsewhere, started, reaches, objects):
    networking = client.NetworkingV1Api(core.api_client)
    stage = objects["NetworkPolicy", "house-stages"]["spec"]["podSelector"]["matchLabels"]
    mlflow = objects["NetworkPolicy", "house-mlflow"]["spec"]["podSelector"]["matchLabels"]
    nobody, port = {"who": "nobody"}, 5000
    addresses = {
        name: started(name, LISTENS.format(port=port), labels)
        for name, labels in {"mlflow": mlflow, "stage": stage, "other": {"who": "other"}}.items()
    }
    if why := abilities.network_policies(lambda: reaches(nobody, addresses["other"], port), networking, elsewhere):
        pytest.skip(why)
    for name in ("house-stages", "house-mlflow"):
        networking.create_namespaced_network_policy(elsewhere, objects["NetworkPolicy", name] | {"metadata": {"name": name}})
    assert until(lambda: not reaches(nobody, addresses["mlflow"], port))
    assert reaches(stage, addresses["mlflow"], port)
    assert not reaches(stage, addresses["other"], port)
    assert not reaches(nobody, addresses["stage"], port)


def _account(core, namespace: str) -> bool:
    """Whether the controller made the namespace's account, without which no pod is taken."""
    return any(account.metadata.name == "default" for account in core.list_namespaced_service_account(namespace).items)


def _pod(core, namespace: str, name: str):
    return core.read_namespaced_pod(name, namespace)
