"""What a teacher is on the cluster: a Deployment, or where a replica needs several nodes, a StatefulSet for each; and a Service.

The nodes of one replica are the pods of its StatefulSet: pod 0 leads and answers, the others work for it without a server. They
meet by vLLM's own launcher, as ranks of a training do: at pod 0, in the chart's headless service. Each node holds a part of the
layers (pipeline parallel), split over its GPUs (tensor parallel); ``arguments`` may divide the model otherwise.
"""

from collections.abc import Mapping
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from kubernetes.client import models as k8s

from operators import placement, pod_overrides, podspec, ranks
from operators.command_line import DOLLAR
from operators.teacher import PORT

LONGEST_LOAD_S = 2 * 3600
"""How long a teacher may take to load its model once it has a node."""
PROBED_EVERY_S = 10
HANGS_AFTER_S = 60
"""How long a node of several may find the leader without an answer before it starts again, as all of them then do."""
ROLE = {"app.kubernetes.io/part-of": "stillhouse", "app.kubernetes.io/component": "teacher"}
TEACHER = "stillhouse/teacher"
LEADER = {"apps.kubernetes.io/pod-index": "0"}
"""The pod that answers for a replica of several nodes. Kubernetes sets this label from 1.28 on."""
SERVE = """set -eu
model=$1 run=$2
shift 2
directory=$(stillhouse fetch --paths "$model" ${run:+--for "$run"})
"""
"""vLLM knows models of the hub and directories; a reference of any kind becomes a directory."""
ALONE = 'exec vllm serve "$directory" "$@"\n'
TOGETHER = """rank=${HOSTNAME##*-}
set -- "$@" --node-rank "$rank"
test "$rank" = 0 || set -- "$@" --headless
exec vllm serve "$directory" "$@"
"""
ASKS_LEADER = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)"


def objects(unique: str, settings: Mapping[str, Any], owner: Mapping[str, str]) -> list[Any]:
    """The teacher's workloads, with the pods' rights and volumes of any stage, then the service by whose name stages ask it.

    ``settings``: ``name`` to answer to, ``model``, ``run`` whose pins hold, ``gpus`` of each node, ``nodes`` of each of the
    ``replicas``, ``arguments`` of vLLM, and the placement ``where``.
    """
    labels = ROLE | podspec.release() | podspec.queue() | {TEACHER: unique}
    if settings["nodes"] == 1:
        workloads, answers = [_deployment(unique, settings, labels, owner)], {TEACHER: unique}
    else:
        workloads = [
            _replica_of_nodes(f"{unique}-{number}", settings, labels | ranks.LABEL, owner) for number in range(settings["replicas"])
        ]
        answers = {TEACHER: unique} | LEADER
    reached = k8s.V1ServiceSpec(selector=answers, ports=[k8s.V1ServicePort(name="http", port=PORT, target_port=PORT)])
    meta = k8s.V1ObjectMeta(name=unique, labels=labels, annotations=dict(owner))
    return [*workloads, k8s.V1Service(api_version="v1", kind="Service", metadata=meta, spec=reached)]


def _deployment(unique: str, settings: Mapping[str, Any], labels: Mapping[str, str], owner: Mapping[str, str]) -> k8s.V1Deployment:
    spec = _pod(settings, SERVE + ALONE, ())
    [container] = spec.containers
    container.readiness_probe = k8s.V1Probe(http_get=k8s.V1HTTPGetAction(path="/health", port=PORT), period_seconds=PROBED_EVERY_S)
    deployed = k8s.V1DeploymentSpec(
        replicas=settings["replicas"], selector=k8s.V1LabelSelector(match_labels={TEACHER: labels[TEACHER]}),
        template=_template(labels, spec, settings), progress_deadline_seconds=placement.pending_s() + LONGEST_LOAD_S,
    )  # fmt: skip
    meta = k8s.V1ObjectMeta(name=unique, labels=labels, annotations=dict(owner))
    return k8s.V1Deployment(api_version="apps/v1", kind="Deployment", metadata=meta, spec=deployed)


def _replica_of_nodes(
    name: str, settings: Mapping[str, Any], labels: Mapping[str, str], owner: Mapping[str, str]
) -> k8s.V1StatefulSet:
    """One replica: its pods start together, and start again together when one of them is lost."""
    labels = {**labels, f"{TEACHER}-replica": name}
    nodes, leader = settings["nodes"], f"{name}-0.{ranks.service()}"
    launch = [
        "--pipeline-parallel-size", str(nodes), "--nnodes", str(nodes), "--master-addr", leader, "--master-port", str(ranks.PORT),
    ]  # fmt: skip
    spec = _pod(settings, SERVE + TOGETHER, launch)
    [container] = spec.containers
    container.env.append(_pods_own_address())
    asks = k8s.V1ExecAction(command=["python3", "-c", ASKS_LEADER, f"http://{leader}:{PORT}/health"])
    probe = {"_exec": asks, "period_seconds": PROBED_EVERY_S, "timeout_seconds": PROBED_EVERY_S}
    container.startup_probe = k8s.V1Probe(failure_threshold=LONGEST_LOAD_S // PROBED_EVERY_S, **probe)
    container.liveness_probe = k8s.V1Probe(failure_threshold=HANGS_AFTER_S // PROBED_EVERY_S, **probe)
    container.readiness_probe = k8s.V1Probe(**probe)
    wanted = k8s.V1StatefulSetSpec(
        replicas=nodes, service_name=ranks.service(), pod_management_policy="Parallel",
        selector=k8s.V1LabelSelector(match_labels={f"{TEACHER}-replica": name}), template=_template(labels, spec, settings),
    )  # fmt: skip
    meta = k8s.V1ObjectMeta(name=name, labels=labels, annotations=dict(owner) | podspec.volcano(nodes))
    return k8s.V1StatefulSet(api_version="apps/v1", kind="StatefulSet", metadata=meta, spec=wanted)


def _template(labels: Mapping[str, str], spec: k8s.V1PodSpec, settings: Mapping[str, Any]) -> k8s.V1PodTemplateSpec:
    template = k8s.V1PodTemplateSpec(metadata=k8s.V1ObjectMeta(labels=dict(labels), annotations=podspec.volcano()), spec=spec)
    return pod_overrides.applied_to_template(template, "teacher", podspec.patch(settings["where"].get("pod", {})))


def _pod(settings: Mapping[str, Any], script: str, launch: Any) -> k8s.V1PodSpec:
    where = settings["where"]
    options = podspec.options("teacher", where["resources_needed"], "", placement.cpus_per_gpu(), where["image"])
    options["env_vars"] |= {"VLLM_ENGINE_READY_TIMEOUT_S": str(LONGEST_LOAD_S)} | where.get("variables", {})
    words = [
        settings["model"], settings["run"], "--served-model-name", settings["name"], "--port", str(PORT),
        "--tensor-parallel-size", str(settings["gpus"]), *launch, *settings["arguments"],
    ]  # fmt: skip
    command = ["sh", "-c", script, "serve", *words]
    chosen = options | {"image": where["image"], "node_selector": where.get("node_selector")}
    operator = KubernetesPodOperator(
        task_id="teacher", cmds=[word.replace("$", DOLLAR) for word in command], do_xcom_push=False, **podspec.rights(), **chosen
    )
    spec = operator.build_pod_request_obj(dry_run=True).spec
    spec.restart_policy = "Always"
    [container] = spec.containers
    container.ports = [k8s.V1ContainerPort(container_port=PORT)]
    container.termination_message_policy = "FallbackToLogsOnError"
    return spec


def _pods_own_address() -> k8s.V1EnvVar:
    """Where the other nodes reach this one."""
    source = k8s.V1ObjectFieldSelector(field_path="status.podIP")
    return k8s.V1EnvVar(name="VLLM_HOST_IP", value_from=k8s.V1EnvVarSource(field_ref=source))
