"""The Kubernetes objects of a teacher: created, checked, deleted."""

import hashlib
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import AirflowFailException
from kubernetes.client import models as k8s
from kubernetes.client.exceptions import ApiException

from operators import placement, pod_overrides, pod_waiting, podspec

PORT = 8000
EXISTS, GONE = 409, 404
LONGEST_LOAD_S = 2 * 3600
"""How long a teacher may take to load its model once it has a node."""
RESTARTS, PULLING = 3, timedelta(minutes=10)
"""A container that crashed this often, or whose image could not be pulled for this long, will not start."""
ROLE = {"app.kubernetes.io/part-of": "stillhouse", "app.kubernetes.io/component": "teacher"}


def in_run(word: str, ti: Any) -> str:
    """The name of the teacher ``word`` in this run alone: two runs have two."""
    return f"teacher-{word[:40]}-{hashlib.sha256(f'{ti.dag_id} {ti.run_id}'.encode()).hexdigest()[:8]}"


def owned_by(ti: Any, stop_id: str) -> dict[str, str]:
    """Annotations by which the reaper finds the task that ends the teacher."""
    named = {"dag-id": ti.dag_id, "run-id": ti.run_id, "task-id": stop_id, "map-index": "-1"}
    return {f"stillhouse/{key}": value for key, value in named.items()}


def objects(unique: str, settings: Mapping[str, Any], owner: Mapping[str, str]) -> tuple[k8s.V1Deployment, k8s.V1Service]:
    """The deployment, with the pods' rights and volumes of any stage, and the service by whose name stages ask it."""
    labels, selector = ROLE | podspec.release() | podspec.queue() | {"stillhouse/teacher": unique}, {"stillhouse/teacher": unique}
    meta = k8s.V1ObjectMeta(name=unique, labels=labels, annotations=dict(owner))
    template = k8s.V1PodTemplateSpec(metadata=k8s.V1ObjectMeta(labels=labels), spec=_pod(settings))
    template = pod_overrides.applied_to_template(template, "teacher")
    replicas, matching = settings["replicas"], k8s.V1LabelSelector(match_labels=selector)
    deployed = k8s.V1DeploymentSpec(
        replicas=replicas, selector=matching, template=template, progress_deadline_seconds=placement.pending_s() + LONGEST_LOAD_S
    )
    reached = k8s.V1ServiceSpec(selector=selector, ports=[k8s.V1ServicePort(name="http", port=PORT, target_port=PORT)])
    return (
        k8s.V1Deployment(api_version="apps/v1", kind="Deployment", metadata=meta, spec=deployed),
        k8s.V1Service(api_version="v1", kind="Service", metadata=meta, spec=reached),
    )


def make(unique: str, settings: Mapping[str, Any], owner: Mapping[str, str]) -> None:
    """Create both, unless they exist."""
    hook, namespace = _cluster()
    deployment, service = objects(unique, settings, owner)
    _unless(EXISTS, hook.core_v1_client.create_namespaced_service, namespace, service)
    _unless(EXISTS, hook.apps_v1_client.create_namespaced_deployment, namespace, deployment)


def ready(unique: str) -> bool:
    """Whether every replica answers its health check, so that vLLM has loaded the model. Prints what replicas wait for.

    Raises AirflowFailException, in the cluster's words, for a teacher that will not start: it would hold its GPUs for nothing.
    """
    hook, namespace = _cluster()
    deployment = hook.apps_v1_client.read_namespaced_deployment(unique, namespace)
    if (deployment.status.ready_replicas or 0) >= deployment.spec.replicas:
        return True
    pods = hook.core_v1_client.list_namespaced_pod(namespace, label_selector=f"stillhouse/teacher={unique}").items
    conditions = {entry.reason: f"{entry.reason}: {entry.message}" for entry in deployment.status.conditions or ()}
    failures = [failure for pod in pods if (failure := _cannot_start(pod))] + [conditions.get("ProgressDeadlineExceeded", "")]
    if failure := next(filter(None, failures), None):
        msg = f"the teacher {unique} does not start: {failure}; it was given up, so that its GPUs are free"
        raise AirflowFailException(msg)
    waiting = [f"{pod.metadata.name}: {pod_waiting.explain(pod)}" for pod in pods if pod.status.phase == "Pending"]
    print(*waiting, *filter(None, [conditions.get("FailedCreate")]), sep="\n", flush=True)
    return False


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
    """Delete both, and the pods with them."""
    hook, namespace = _cluster()
    _unless(GONE, hook.apps_v1_client.delete_namespaced_deployment, unique, namespace, propagation_policy="Foreground")
    _unless(GONE, hook.core_v1_client.delete_namespaced_service, unique, namespace)


def _pod(settings: Mapping[str, Any]) -> k8s.V1PodSpec:
    placed = placement.gpu(settings["gpus"], "vllm")
    options = podspec.options("teacher", placed["resources_needed"], "", placement.cpus_per_gpu(), placed["image"])
    command = [
        "python3", "-m", "vllm.entrypoints.openai.api_server",
        "--model", settings["model"], "--served-model-name", settings["name"],
        "--port", str(PORT), "--tensor-parallel-size", str(settings["gpus"]), *settings["arguments"],
    ]  # fmt: skip
    chosen = options | {"image": placed["image"], "node_selector": placed.get("node_selector")}
    operator = KubernetesPodOperator(task_id="teacher", cmds=command, do_xcom_push=False, **podspec.rights(), **chosen)
    spec = operator.build_pod_request_obj(dry_run=True).spec
    spec.restart_policy = "Always"
    [container] = spec.containers
    container.ports = [k8s.V1ContainerPort(container_port=PORT)]
    container.termination_message_policy = "FallbackToLogsOnError"
    container.readiness_probe = k8s.V1Probe(http_get=k8s.V1HTTPGetAction(path="/health", port=PORT), period_seconds=10)
    return spec


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
