"""`make test-cluster` against the fake API, which keeps objects and does nothing else: what needs more skips, in one line each."""

import os
import re
import subprocess
import sys

import pytest
from kubernetes import client

from tests.cluster import abilities
from tests.operators.test_chart import ROOT


@pytest.fixture
def core(cluster):
    return client.CoreV1Api(client.ApiClient(client.Configuration(host=cluster.url)))


def pytest_on(kubeconfig: str, *arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *arguments]
    kept = {name: value for name, value in os.environ.items() if name not in {"AIRFLOW_CONN_KUBERNETES_DEFAULT"}}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=kept | {"KUBECONFIG": kubeconfig})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_a_cluster_cannot_do_skips_in_one_line_each(cluster, tmp_path):
    files = ["tests/cluster/test_jobs.py", "tests/cluster/test_policies.py"]
    told = pytest_on(
        str(tmp_path / "kubeconfig"), *files, "--deselect", f"{files[0]}::test_job_beyond_a_quota_is_given_up_in_the_clusters_words"
    )
    reasons = re.findall(r"(?m)^SKIPPED \[\d+\] [\w./]+(?::\d+)?: (.+)$", told)
    assert set(reasons) == {
        "the nodes cannot be listed (404 Not Found): whether pods run here is not known",
        "no namespace can be made here: 404 Not Found",
    }
    assert "2 passed" in told  # the Job is made as it is, and is gone when its task is marked
    assert cluster.names("jobs") == []


def test_old_cluster_says_that_it_has_no_jobs_of_several_nodes(cluster, core, monkeypatch):
    cluster.version["minor"] = "20+"
    monkeypatch.setattr(client.Configuration, "_default", core.api_client.configuration)
    assert abilities.indexed_jobs() == "Kubernetes 1.20+: Jobs of several nodes need 1.27"
    cluster.version["minor"] = "27"
    assert abilities.indexed_jobs() is None


def test_privileged_pod_that_is_taken_means_no_pod_security(core):
    assert abilities.pod_security(core, "house").startswith("no Pod Security admission")


def test_pod_that_pod_security_refuses_means_that_it_is_there(cluster, core):
    cluster.refusal = 'pods "privileged" is forbidden: violates PodSecurity "restricted:latest": privileged'
    assert abilities.pod_security(core, "house") is None
    cluster.refusal = "pods is forbidden: no rights"
    assert abilities.pod_security(core, "house") == "a privileged pod was refused, but not by Pod Security: 403 Forbidden"


def test_budgets_and_quotas_that_nobody_looks_at_are_named(cluster, core, monkeypatch):
    monkeypatch.setattr(abilities, "CONTROLLER_S", 0)
    assert abilities.budgets(core, "house") == "no controller looked at a disruption budget in 0 s"
    assert abilities.quotas(core, "house") == "no controller looked at a quota in 0 s"
    assert (cluster.names("poddisruptionbudgets"), cluster.names("resourcequotas")) == ([], [])
    cluster.refusal = "no rights"
    assert abilities.budgets(core, "house") == "no disruption budgets (policy/v1): 403 Forbidden"
    assert abilities.quotas(core, "house") == "no quotas: 403 Forbidden"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([False], "pods do not reach each other's addresses here"),
        ([True, False], None),
        ([True, True, True], "network policies are not enforced here: a policy that lets nobody in changes nothing"),
    ],
)
def test_network_policies_are_tried_by_one_that_lets_nobody_in(cluster, core, monkeypatch, answers, said):
    monkeypatch.setattr(abilities, "CONTROLLER_S", 0)
    given = iter(answers)
    assert abilities.network_policies(lambda: next(given), client.NetworkingV1Api(core.api_client), "house") == said
    assert cluster.names("networkpolicies") == []
