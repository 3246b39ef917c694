"""What every pod of a stage looks like: rights, volumes, environment, labels.

Read from the environment that the chart gives to Airflow:

    STILLHOUSE_NAMESPACE        where stages run                    STILLHOUSE_SERVICE_ACCOUNT  an account without any right
    STILLHOUSE_STAGE_SECRET     credentials: store, MLflow          STILLHOUSE_PULL_SECRET      the registry's
    STILLHOUSE_MODEL_CACHE      a volume claim for model files      STILLHOUSE_PULL_POLICY      of the images
    STILLHOUSE_PRIORITY_CLASS   of the pods                         STILLHOUSE_QUEUE            a Kueue queue
    STILLHOUSE_SCRATCH_SIZE     the scratch volume's limit          STILLHOUSE_PENDING_S        how long a pod may wait for a node
    STILLHOUSE_CPU_SHARE        the share of its cores that a pod reserves
    STILLHOUSE_SCHEDULER        another scheduler than the cluster's own, such as volcano

The cluster decides what is not set.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from kubernetes.client import models as k8s

from operators.placement import GPU, pending_s

PASSED_ON = (
    "MLFLOW_TRACKING_URI", "STILLHOUSE_MLFLOW_URL", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "STILLHOUSE_ENDPOINTS",
    "STILLHOUSE_REWARD_ENDPOINT", "STILLHOUSE_REWARDS", "STILLHOUSE_BENCHMARKS", "STILLHOUSE_MICRO_BATCH", "STILLHOUSE_SAVE_STEPS",
    "STILLHOUSE_SAVE_MINUTES", "STILLHOUSE_GRACE_S",
    "STILLHOUSE_SHARDING", "STILLHOUSE_GRADIENT_CHECKPOINTING", "STILLHOUSE_ATTENTION", "STILLHOUSE_AUTOCAST", "STILLHOUSE_LIGER",
    "STILLHOUSE_PROBE",
    "STILLHOUSE_PAGED_OPTIMIZER", "STILLHOUSE_SEQUENCE_PARALLEL",
    "STILLHOUSE_PACK_ROLLOUTS", "STILLHOUSE_ROLLOUT_TIMEOUT_S", "STILLHOUSE_ROLLOUT_SLEEP",
    "STILLHOUSE_PROBE_BOUND", "STILLHOUSE_CONSTANT_STEPS",
    "STILLHOUSE_DEAD_STEPS", "STILLHOUSE_ROLLOUT_SERVER", "STILLHOUSE_ROLLOUT_PORT",
    "STILLHOUSE_ROLLOUT_WEIGHTS", "STILLHOUSE_ROLLOUT_TENSOR_PARALLEL", "STILLHOUSE_ROLLOUT_MEMORY",
    "STILLHOUSE_TENSOR_PARALLEL", "STILLHOUSE_MAX_MODEL_LEN", "STILLHOUSE_CONCURRENCY", "STILLHOUSE_OUTAGE_S",
    "STILLHOUSE_REQUEST_TIMEOUT_S", "STILLHOUSE_BATCH_ROWS", "STILLHOUSE_GPUS", "STILLHOUSE_ISOLATION",
    "STILLHOUSE_SANDBOX_LIBRARIES", "STILLHOUSE_SPOOL", "STILLHOUSE_TRACKING_PATIENCE_S",
    "STILLHOUSE_LEASE_S", "STILLHOUSE_STALLED_S", "STILLHOUSE_STORE_PATIENCE_S", "STILLHOUSE_METRICS_PORT", "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
)  # fmt: skip
"""Variables of the Airflow deployment that a stage needs too; credentials come from the pod's secrets instead."""
FABRIC = (
    "NCCL_", "TORCH_NCCL_", "OFI_NCCL_", "FI_", "UCX_", "GLOO_", "TP_SOCKET_IFNAME", "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF", "TORCH_CPP_LOG_LEVEL", "TORCH_DISTRIBUTED_DEBUG", "TORCH_SHOW_CPP_STACKTRACES",
)  # fmt: skip
"""Beginnings of variables that reach pods too: how GPUs and nodes talk (NCCL, libfabric, UCX, gloo), and torch's allocator."""
SCRATCH, MODELS, SHARED_MEMORY = "/scratch", "/models", "/dev/shm"
SIZED: dict[str, tuple[str, dict[str, str]]] = {
    "scratch": ("scratch", {}), "shared_memory": ("shared-memory", {"medium": "Memory"}),
}  # fmt: skip
"""The volumes whose size a profile may set, with the medium of those in memory."""
USER = 10001
THREADS = "OMP_NUM_THREADS"
SELECTOR = {"app.kubernetes.io/part-of": "stillhouse", "app.kubernetes.io/component": "stage"}
"""The labels of every pod and job of a stage: network policies and the reaper select by them."""
OWNER = {
    "stillhouse/dag-id": "{{ ti.dag_id }}",
    "stillhouse/task-id": "{{ ti.task_id }}",
    "stillhouse/run-id": "{{ run_id }}",
    "stillhouse/map-index": "{{ ti.map_index }}",
}
"""Annotations that name the task instance. Airflow's own labels are cut and hashed, and identify no task."""
ALONE = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled", "consul.hashicorp.com/connect-inject": "false",
}  # fmt: skip
"""A stage is not moved by the autoscaler, and takes part in no mesh: a proxy would outlive it."""
INDEX = "batch.kubernetes.io/job-completion-index"
"""The label with a pod's number in its Job."""
VOLCANO = "volcano"
GRACE_S = 120
"""From SIGTERM to SIGKILL, unless ``STILLHOUSE_GRACE_S`` says otherwise: a preempted stage finishes its part or saves and uploads a
checkpoint, closes its MLflow run and removes its scratch."""
STARTUP_S = 1800
"""How long images may take to be pulled: those with CUDA have several gigabytes."""
LOGGED_EVERY_S = 10
"""How often a running pod's log is copied to the task's log."""


def options(stage: str, resources: Mapping[str, str], parent_run: str, slots: int, image: str = "") -> dict[str, Any]:
    """Arguments of a pod operator that a DAG may override."""
    volumes, mounts = _volumes(resources)
    deployment = {
        "namespace": os.environ.get("STILLHOUSE_NAMESPACE"),
        "service_account_name": os.environ.get("STILLHOUSE_SERVICE_ACCOUNT"),
        "image_pull_policy": os.environ.get("STILLHOUSE_PULL_POLICY"),
        "priority_class_name": os.environ.get("STILLHOUSE_PRIORITY_CLASS"),
        "image_pull_secrets": _references("STILLHOUSE_PULL_SECRET"),
        "env_from": _secrets(),
    }
    return {name: value for name, value in deployment.items() if value} | {
        "name": f"stage-{stage}",
        "labels": labels(stage),
        "annotations": OWNER | ALONE | volcano(),
        "env_vars": environment(parent_run, slots, image),
        "container_resources": requirements(resources),
        "volumes": volumes,
        "volume_mounts": mounts,
        "ports": _ports(),
        "tolerations": [k8s.V1Toleration(key=GPU, operator="Exists", effect="NoSchedule")] if GPU in resources else [],
        "schedulername": os.environ.get("STILLHOUSE_SCHEDULER") or None,
        "termination_grace_period": int(os.environ.get("STILLHOUSE_GRACE_S") or GRACE_S),
        "schedule_timeout_seconds": pending_s(),
        "startup_timeout_seconds": STARTUP_S,
        "logging_interval": LOGGED_EVERY_S,
        "container_name_log_prefix_enabled": False,
        "log_pod_spec_on_failure": False,
        "log_events_on_failure": True,
    }


def requirements(resources: Mapping[str, str]) -> k8s.V1ResourceRequirements:
    """What the stage's container reserves, and what it may use."""
    return k8s.V1ResourceRequirements(requests=_reserved(resources), limits=dict(resources))


def with_threads(env_vars: Sequence[k8s.V1EnvVar], threads: int) -> list[k8s.V1EnvVar]:
    """The variables with another number of threads."""
    return [*(one for one in env_vars if one.name != THREADS), k8s.V1EnvVar(name=THREADS, value=str(threads))]


def patch(pod: Mapping[str, Any]) -> dict[str, Any]:
    """What a profile adds to the pod, as a strategic merge patch: fields of its spec, and sizes of volumes by ``SIZED``."""
    spec = {name: value for name, value in pod.items() if name not in SIZED}
    for name in SIZED.keys() & pod.keys():
        volume, medium = SIZED[name]
        sized = {"name": volume, "emptyDir": medium | {"sizeLimit": pod[name]}}
        mounts = [{"name": volume, "mountPath": SHARED_MEMORY}] if medium else []
        spec["volumes"] = [*spec.get("volumes", ()), sized]
        spec["containers"] = [*spec.get("containers", ()), *([{"name": "base", "volumeMounts": mounts}] if mounts else [])]
    return {"spec": {name: value for name, value in spec.items() if value}} if spec else {}


def labels(stage: str) -> dict[str, str]:
    """The pod's labels."""
    return SELECTOR | release() | {"stillhouse/stage": stage} | queue()


def release() -> dict[str, str]:
    """The label by which several releases in one namespace tell their pods apart: ``STILLHOUSE_RELEASE``."""
    name = os.environ.get("STILLHOUSE_RELEASE")
    return {"app.kubernetes.io/instance": name} if name else {}


def volcano(members: int = 0) -> dict[str, str]:
    """Volcano's annotations, where it schedules: its queue for pods; ``members`` of a Job or a replica start together or not."""
    if os.environ.get("STILLHOUSE_SCHEDULER") != VOLCANO:
        return {}
    said = {"queue-name": os.environ.get("STILLHOUSE_QUEUE"), "group-min-member": str(members) if members else None}
    return {f"scheduling.volcano.sh/{name}": value for name, value in said.items() if value}


def queue() -> dict[str, str]:
    """The labels by which Kueue admits a pod, a Job or a teacher: ``STILLHOUSE_QUEUE``, ``STILLHOUSE_QUEUE_PRIORITY``."""
    if os.environ.get("STILLHOUSE_SCHEDULER") == VOLCANO:
        return {}
    named = {"queue-name": "STILLHOUSE_QUEUE", "priority-class": "STILLHOUSE_QUEUE_PRIORITY"}
    return {f"kueue.x-k8s.io/{label}": os.environ[name] for label, name in named.items() if os.environ.get(name)}


def rights() -> dict[str, Any]:
    """No token, no root, no capability, a read-only image: arguments that a DAG cannot override."""
    return {
        "automount_service_account_token": False,
        "security_context": k8s.V1PodSecurityContext(
            run_as_non_root=True, run_as_user=USER, run_as_group=USER, fs_group=USER, fs_group_change_policy="OnRootMismatch",
            seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
        ),
        "container_security_context": k8s.V1SecurityContext(
            allow_privilege_escalation=False, privileged=False, read_only_root_filesystem=True,
            capabilities=k8s.V1Capabilities(drop=["ALL"]),
        ),
    }  # fmt: skip


def environment(parent_run: str, slots: int, image: str) -> dict[str, str]:
    """The stage's environment, without credentials; its manifest names the image."""
    passed = {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith(FABRIC)}
    own = {
        "MLFLOW_RUN_ID": parent_run, "MLFLOW_EXPERIMENT_NAME": "{{ ti.dag_id }}", THREADS: str(slots),
        "PYTHONUNBUFFERED": "1", "STILLHOUSE_IMAGE": image, "DO_NOT_TRACK": "1",
    }  # fmt: skip
    cache = MODELS if os.environ.get("STILLHOUSE_MODEL_CACHE") else f"{SCRATCH}/models"
    # The image is read-only: what libraries cache goes to the scratch volume too.
    return passed | own | {"STILLHOUSE_SCRATCH": SCRATCH, "TMPDIR": SCRATCH, "HOME": SCRATCH, "HF_HOME": cache}


def _reserved(resources: Mapping[str, str]) -> dict[str, str]:
    """What the pod reserves: all it may use; with ``STILLHOUSE_CPU_SHARE`` below 1 only that share of its cores."""
    share = float(os.environ.get("STILLHOUSE_CPU_SHARE", "1"))
    cores = {"cpu": f"{round(1000 * float(resources['cpu']) * share)}m"} if share < 1 and "cpu" in resources else {}
    return dict(resources) | cores


def _volumes(resources: Mapping[str, str]) -> tuple[list[k8s.V1Volume], list[k8s.V1VolumeMount]]:
    """Scratch; the model cache if the chart has one; on GPUs the shared memory that NCCL and data loaders need."""
    scratch = k8s.V1EmptyDirVolumeSource(size_limit=os.environ.get("STILLHOUSE_SCRATCH_SIZE"))
    mounted = {"scratch": (SCRATCH, {"empty_dir": scratch})}
    claim = os.environ.get("STILLHOUSE_MODEL_CACHE")
    if claim:
        mounted["models"] = (MODELS, {"persistent_volume_claim": k8s.V1PersistentVolumeClaimVolumeSource(claim_name=claim)})
    if GPU in resources:
        mounted["shared-memory"] = (SHARED_MEMORY, {"empty_dir": k8s.V1EmptyDirVolumeSource(medium="Memory")})
    volumes = [k8s.V1Volume(name=name, **source) for name, (_, source) in mounted.items()]
    return volumes, [k8s.V1VolumeMount(name=name, mount_path=path) for name, (path, _) in mounted.items()]


def _ports() -> list[k8s.V1ContainerPort]:
    """The port at which a stage tells Prometheus how far it is, if monitoring is on: ``STILLHOUSE_METRICS_PORT``."""
    port = os.environ.get("STILLHOUSE_METRICS_PORT")
    return [k8s.V1ContainerPort(name="metrics", container_port=int(port))] if port else []


def _references(variable: str) -> list[k8s.V1LocalObjectReference]:
    name = os.environ.get(variable)
    return [k8s.V1LocalObjectReference(name=name)] if name else []


def _secrets() -> list[k8s.V1EnvFromSource]:
    """The secret's keys as variables: by reference, so that no value passes through Airflow or its logs."""
    name = os.environ.get("STILLHOUSE_STAGE_SECRET")
    return [k8s.V1EnvFromSource(secret_ref=k8s.V1SecretEnvSource(name=name))] if name else []
