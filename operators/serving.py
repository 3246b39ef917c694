"""The Kubernetes objects of a teacher: created, checked, deleted."""

import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from kubernetes.client import models as k8s
from kubernetes.client.exceptions import ApiException

from operators import placement, podspec

PORT = 8000
EXISTS, GONE = 409, 404
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
    labels, selector = ROLE | {"stillhouse/teacher": unique}, {"stillhouse/teacher": unique}
    meta = k8s.V1ObjectMeta(name=unique, labels=labels, annotations=dict(owner))
    template = k8s.V1PodTemplateSpec(metadata=k8s.V1ObjectMeta(labels=labels), spec=_pod(settings))
    replicas, matching = settings["replicas"], k8s.V1LabelSelector(match_labels=selector)
    deployed = k8s.V1DeploymentSpec(replicas=replicas, selector=matching, template=template)
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
    """Whether every replica answers its health check, so that vLLM has loaded the model."""
    hook, namespace = _cluster()
    deployment = hook.apps_v1_client.read_namespaced_deployment(unique, namespace)
    return bool((deployment.status.ready_replicas or 0) >= deployment.spec.replicas)


def delete(unique: str) -> None:
    """Delete both, and the pods with them."""
    hook, namespace = _cluster()
    _unless(GONE, hook.apps_v1_client.delete_namespaced_deployment, unique, namespace, propagation_policy="Foreground")
    _unless(GONE, hook.core_v1_client.delete_namespaced_service, unique, namespace)


def _pod(settings: Mapping[str, Any]) -> k8s.V1PodSpec:
    placed = placement.gpu(settings["gpus"], "vllm")
    options = podspec.options("teacher", placed["resources_needed"], "", placement.CPUS_PER_GPU, placed["image"])
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
