"""Where a stage runs: pool, slots, resources, nodes and image, as keyword arguments of a stage's operator.

Pass them to the operator, or to ``.partial()``: a pool that an operator sets in its ``__init__`` is ignored on mapped tasks.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stillhouse.execution.profiles import TaskPlacement

GPU = "nvidia.com/gpu"
PENDING_S = 12 * 3600
"""How long a pod may wait for a node, unless ``STILLHOUSE_PENDING_S`` says otherwise: a GPU may be busy for a night."""


def cpu(n: int = 1, image: str = "worker") -> dict[str, Any]:
    """``n`` cores, and as many slots of the pool ``cpu``; ``image`` is a directory of ``images/``."""
    resources = {"cpu": str(n), "memory": f"{n * memory_per_cpu_gi()}Gi"}
    return {"pool": "cpu", "pool_slots": n, "resources_needed": resources, "image": _image(image)} | _nodes("cpu")


def gpu(n: int = 1, image: str = "train", nodes: int = 1) -> dict[str, Any]:
    """``n`` GPUs on each of ``nodes`` nodes, the slots of the pool ``gpu`` for all of them, cores and memory in proportion."""
    resources = {GPU: str(n), "cpu": str(n * cpus_per_gpu()), "memory": f"{n * memory_per_gpu_gi()}Gi"}
    placed = {"pool": "gpu", "pool_slots": n * nodes, "resources_needed": resources, "image": _image(image)} | _nodes("gpu")
    return placed | {"nodes": nodes} if nodes > 1 else placed


def model(image: str, cores: int = 1, *, trains: bool = False, choice: "TaskPlacement | None" = None) -> dict[str, Any]:
    """Where a stage that loads a model runs: on a GPU of a cluster, or on ``cores`` if stages are child processes.

    ``choice`` is its profile's placement. Else a training takes ``STILLHOUSE_TRAIN_GPUS`` GPUs on each of
    ``STILLHOUSE_TRAIN_NODES`` nodes, or as many child processes.
    ``STILLHOUSE_MODELS_ON=cpu`` means a cluster without GPUs: the image ``train`` runs small models on cores.
    """
    gpus = int(os.environ.get("STILLHOUSE_TRAIN_GPUS", "1")) if trains else 1
    nodes = int(os.environ.get("STILLHOUSE_TRAIN_NODES", "1")) if trains else 1
    if choice and os.environ.get("STILLHOUSE_RUNNER") != "process":  # a machine without a cluster has no such choice
        gpus, nodes = choice.gpus or gpus, (choice.nodes or nodes) if trains else 1
    if os.environ.get("STILLHOUSE_RUNNER") == "process":
        return cpu(max(cores, gpus)) | ({"processes": gpus} if gpus > 1 else {})
    return cpu(cores, "train") if os.environ.get("STILLHOUSE_MODELS_ON") == "cpu" else gpu(gpus, image, nodes)


def cpus_per_gpu() -> int:
    """Cores that a GPU brings to its pod: ``STILLHOUSE_CPUS_PER_GPU``."""
    return int(os.environ.get("STILLHOUSE_CPUS_PER_GPU", "6"))


def memory_per_gpu_gi() -> int:
    """Memory that a GPU brings to its pod, in Gi: ``STILLHOUSE_MEMORY_PER_GPU_GI``."""
    return int(os.environ.get("STILLHOUSE_MEMORY_PER_GPU_GI", "24"))


def memory_per_cpu_gi() -> int:
    """Memory that a core brings to a pod without a GPU, in Gi: ``STILLHOUSE_MEMORY_PER_CPU_GI``."""
    return int(os.environ.get("STILLHOUSE_MEMORY_PER_CPU_GI", "4"))


def placed(image: str, *, loads_model: bool, trains: bool, choice: "TaskPlacement") -> dict[str, Any]:
    """Where a task runs by its profile's placement; what that leaves out is as ``model`` and ``cpu`` say."""
    where = model(image, choice.cores or 1, trains=trains, choice=choice) if loads_model else cpu(choice.cores or 1, image)
    resources = where["resources_needed"] | {
        name: str(value) for name, value in (("cpu", choice.cores), ("memory", choice.memory)) if value is not None
    }
    pod = dict(choice.pod) | ({"tolerations": list(choice.tolerations)} if choice.tolerations else {})
    pod |= {name: size for name, size in (("scratch", choice.scratch), ("shared_memory", choice.shared_memory)) if size}
    labels = where.get("node_selector", {}) | choice.node_selector
    further = {"resources_needed": resources} | ({"node_selector": labels} if labels else {}) | ({"pod": pod} if pod else {})
    return where | further | ({"variables": dict(choice.environment)} if choice.environment else {})


def pairs(text: str) -> dict[str, str]:
    """``a=1,b=2`` as a mapping: the form in which environment variables name node labels."""
    return dict(pair.strip().split("=", 1) for pair in text.split(",") if "=" in pair)


def pending_s() -> int:
    """How long a pod may wait for a node."""
    return int(os.environ.get("STILLHOUSE_PENDING_S", PENDING_S))


def _nodes(kind: str) -> dict[str, Any]:
    """``STILLHOUSE_CPU_NODES`` and ``STILLHOUSE_GPU_NODES`` name the labels of the nodes to run on; unset: any node."""
    chosen = pairs(os.environ.get(f"STILLHOUSE_{kind.upper()}_NODES", ""))
    return {"node_selector": chosen} if chosen else {}


def _image(name: str) -> str:
    """Set by the chart: ``STILLHOUSE_IMAGES`` is the registry, ``STILLHOUSE_TAG`` the release, ``STILLHOUSE_DIGESTS`` pins them."""
    digest = pairs(os.environ.get("STILLHOUSE_DIGESTS", "")).get(name)
    pinned = f"@{digest}" if digest else ""
    return f"{os.environ.get('STILLHOUSE_IMAGES', 'stillhouse')}/{name}:{os.environ.get('STILLHOUSE_TAG', 'dev')}{pinned}"
