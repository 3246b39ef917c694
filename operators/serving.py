"""A teacher on the cluster: made, asked whether it is ready, deleted."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
from airflow.sdk.exceptions import AirflowFailException
from kubernetes.client.exceptions import ApiException

from operators import pod_waiting
from operators.serving_objects import TEACHER, objects

EXISTS, GONE = 409, 404
RESTARTS, PULLING = 3, timedelta(minutes=10)
"""A container that crashed this often, or whose image could not be pulled for this long, will not start."""
WORD = 30
"""Letters of the teacher's name in its objects' names: a StatefulSet's may have 52."""


def in_run(word: str, ti: Any) -> str:
    """The name of the teacher ``word`` in this run alone: two runs have two."""
    return f"teacher-{word[:WORD].strip('-')}-{hashlib.sha256(f'{ti.dag_id} {ti.run_id} {word}'.encode()).hexdigest()[:8]}"


def owned_by(ti: Any, stop_id: str) -> dict[str, str]:
    """Annotations by which the reaper finds the task that ends the teacher."""
    named = {"dag-id": ti.dag_id, "run-id": ti.run_id, "task-id": stop_id, "map-index": "-1"}
    return {f"stillhouse/{key}": value for key, value in named.items()}


def make(unique: str, settings: Mapping[str, Any], owner: Mapping[str, str]) -> None:
    """Create the teacher's objects, unless they exist."""
    hook, namespace = _cluster()
    create = {
        "Deployment": hook.apps_v1_client.create_namespaced_deployment,
        "StatefulSet": hook.apps_v1_client.create_namespaced_stateful_set,
        "Service": hook.core_v1_client.create_namespaced_service,
    }
    for body in objects(unique, settings, owner):
        _unless(EXISTS, create[body.kind], namespace, body)


def ready(unique: str) -> bool:
    """Whether every node of every replica is healthy, so that vLLM has loaded the model. Prints what they wait for.

    Raises AirflowFailException, in the cluster's words, for a teacher that will not start: it would hold its GPUs for nothing.
    """
    hook, namespace = _cluster()
    workloads = _workloads(hook, namespace, unique)
    if not workloads:
        msg = f"the teacher {unique} is gone: somebody deleted it; clear the task that starts it"
        raise AirflowFailException(msg)
    if all((workload.status.ready_replicas or 0) >= workload.spec.replicas for workload in workloads):
        return True
    pods = hook.core_v1_client.list_namespaced_pod(namespace, label_selector=f"{TEACHER}={unique}").items
    conditions = {
        entry.reason: f"{entry.reason}: {entry.message}"
        for workload in workloads for entry in getattr(workload.status, "conditions", None) or ()
    }  # fmt: skip
    failures = [failure for pod in pods if (failure := _cannot_start(pod))] + [conditions.get("ProgressDeadlineExceeded", "")]
    if failure := next(filter(None, failures), None):
        msg = f"the teacher {unique} does not start: {failure}; it was given up, so that its GPUs are free"
        raise AirflowFailException(msg)
    waiting = [f"{pod.metadata.name}: {pod_waiting.explain(pod)}" for pod in pods if pod.status.phase == "Pending"]
    refusals = [conditions["FailedCreate"]] if "FailedCreate" in conditions else []
    if len(pods) < sum(workload.spec.replicas for workload in workloads):
        refusals += _warnings(hook, namespace, [workload.metadata.name for workload in workloads])
    print(*waiting, *dict.fromkeys(refusals), sep="\n", flush=True)
    return False


def _workloads(hook: Any, namespace: str, unique: str) -> list[Any]:
    apps, selector = hook.apps_v1_client, f"{TEACHER}={unique}"
    return [
        *apps.list_namespaced_deployment(namespace, label_selector=selector).items,
        *apps.list_namespaced_stateful_set(namespace, label_selector=selector).items,
    ]


def _warnings(hook: Any, namespace: str, names: Sequence[str]) -> list[str]:
    """What the cluster says about workloads whose pods it does not create, such as a full quota."""
    told = hook.core_v1_client.list_namespaced_event(namespace, field_selector="type=Warning").items
    return [f"{event.reason}: {event.message}" for event in told if event.involved_object.name in names]


def _cannot_start(pod: Any) -> str | None:
    """Why a replica will never answer; None while it may."""
    age = datetime.now(UTC) - pod.metadata.creation_timestamp
    for status in pod_waiting.statuses(pod):
        waiting = status.state and status.state.waiting
        crashed = status.last_state and status.last_state.terminated
        if waiting is None:
            continue
        if waiting.reason == pod_waiting.CRASHES and status.restart_count >= RESTARTS:
            last = f", last with exit code {crashed.exit_code}: {crashed.message or crashed.reason}" if crashed else ""
            return f"{status.name} crashed {status.restart_count} times{last}"
        limit = PULLING if waiting.reason in pod_waiting.CANNOT_PULL else timedelta(seconds=pod_waiting.CANNOT_START_S)
        if waiting.reason in pod_waiting.CANNOT_PULL | pod_waiting.CANNOT_START and age > limit:
            return f"{waiting.reason}: {waiting.message}"
    return None


def delete(unique: str) -> None:
    """Delete the teacher's objects, and the pods with them."""
    hook, namespace = _cluster()
    apps, selector = hook.apps_v1_client, f"{TEACHER}={unique}"
    kinds = [
        (apps.list_namespaced_deployment, apps.delete_namespaced_deployment),
        (apps.list_namespaced_stateful_set, apps.delete_namespaced_stateful_set),
    ]
    for listed, remove in kinds:
        for workload in listed(namespace, label_selector=selector).items:
            _unless(GONE, remove, workload.metadata.name, namespace, propagation_policy="Foreground")
    _unless(GONE, hook.core_v1_client.delete_namespaced_service, unique, namespace)


def _cluster() -> tuple[Any, str]:
    hook = KubernetesHook(conn_id=KubernetesHook.default_conn_name)
    return hook, os.environ.get("STILLHOUSE_NAMESPACE") or hook.get_namespace() or "default"


def _unless(status: int, call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Make the call; an answer of ``status`` means that it had already been made."""
    try:
        call(*arguments, **options)
    except ApiException as error:
        if error.status != status:
            raise
