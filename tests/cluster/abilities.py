"""What a cluster can do: each function returns None, or in one line why the tests that need the ability skip."""

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.cluster.waiting import until

PRIVILEGED = {
    "metadata": {"name": "privileged"},
    "spec": {"containers": [{"name": "base", "image": "none", "securityContext": {"privileged": True}}]},
}
CONTROLLER_S = 20
NOTHING: Mapping[str, str] = MappingProxyType({})


def runs_pods(core: client.CoreV1Api) -> str | None:
    """Whether a node is ready."""
    try:
        nodes = core.list_node().items
    except ApiException as error:
        return f"the nodes cannot be listed ({error.status} {error.reason}): whether pods run here is not known"
    conditions = [condition for node in nodes for condition in node.status.conditions or ()]
    ready = any((condition.type, condition.status) == ("Ready", "True") for condition in conditions)
    return None if ready else "no node is ready: pods do not run here"


def indexed_jobs() -> str | None:
    """Whether Jobs have the labels, host names and failure policy that ``operators/job.py`` uses."""
    version = client.VersionApi().get_code()
    if (int(version.major), int(version.minor.rstrip("+"))) < (1, 27):
        return f"Kubernetes {version.major}.{version.minor}: Jobs of several nodes need 1.27"
    return None


@contextlib.contextmanager
def namespace(core: client.CoreV1Api, labels: Mapping[str, str] = NOTHING) -> Iterator[str]:
    """A namespace of its own, until the block ends. Skips the test where none can be made."""
    name = f"abilities-{secrets.token_hex(3)}"
    try:
        core.create_namespace({"metadata": {"name": name, "labels": dict(labels)}})
    except ApiException as error:
        pytest.skip(f"no namespace can be made here: {error.status} {error.reason}")
    try:
        yield name
    finally:
        core.delete_namespace(name)


def pod_security(core: client.CoreV1Api, restricted: str) -> str | None:
    """Whether a namespace that enforces ``restricted`` refuses a privileged pod."""
    try:
        core.create_namespaced_pod(restricted, PRIVILEGED, dry_run="All")
    except ApiException as error:
        if "violates PodSecurity" in str(error.body):
            return None
        return f"a privileged pod was refused, but not by Pod Security: {error.status} {error.reason}"
    return "no Pod Security admission: a namespace that enforces restricted takes a privileged pod"


def budgets(core: client.CoreV1Api, where: str) -> str | None:
    """Whether disruption budgets are known, and a controller counts the pods under them."""
    policy = client.PolicyV1Api(core.api_client)
    body = {"metadata": {"name": "probe"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"probe": "none"}}}}
    try:
        policy.create_namespaced_pod_disruption_budget(where, body)
    except ApiException as error:
        return f"no disruption budgets (policy/v1): {error.status} {error.reason}"
    try:
        counted = until(lambda: _observed(policy, where), CONTROLLER_S)
    finally:
        policy.delete_namespaced_pod_disruption_budget("probe", where)
    return None if counted else f"no controller looked at a disruption budget in {CONTROLLER_S} s"


def quotas(core: client.CoreV1Api, where: str) -> str | None:
    """Whether a quota is taken, and a controller says what is used of it."""
    try:
        core.create_namespaced_resource_quota(where, {"metadata": {"name": "probe"}, "spec": {"hard": {"configmaps": "1000"}}})
    except ApiException as error:
        return f"no quotas: {error.status} {error.reason}"
    try:
        used = until(lambda: counted(core, "probe", where), CONTROLLER_S)
    finally:
        core.delete_namespaced_resource_quota("probe", where)
    return None if used else f"no controller looked at a quota in {CONTROLLER_S} s"


def counted(core: client.CoreV1Api, quota: str, where: str) -> bool:
    """Whether the controller has said what is used of the quota."""
    status = core.read_namespaced_resource_quota(quota, where).status
    return bool(status and status.hard)


def network_policies(reaches: Any, policies: client.NetworkingV1Api, where: str) -> str | None:
    """Whether a policy that lets nobody in cuts pods off that reached each other before; ``reaches()`` tries it."""
    if not reaches():
        return "pods do not reach each other's addresses here"
    nobody = {"metadata": {"name": "nobody"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": []}}
    policies.create_namespaced_network_policy(where, nobody)
    try:
        enforced = until(lambda: not reaches(), CONTROLLER_S)
    finally:
        policies.delete_namespaced_network_policy("nobody", where)
    return None if enforced else "network policies are not enforced here: a policy that lets nobody in changes nothing"


def _observed(policy: client.PolicyV1Api, where: str) -> bool:
    status = policy.read_namespaced_pod_disruption_budget("probe", where).status
    return status is not None and status.observed_generation is not None
