"""Where a stage runs: pool, slots, resources and image, as keyword arguments of a stage's operator.

Pass them to the operator, or to ``.partial()``: a pool that an operator sets in its ``__init__`` is ignored on mapped tasks.
"""

import os
from typing import Any

MEMORY_PER_CPU_GI = 4
CPUS_PER_GPU = 8
MEMORY_PER_GPU_GI = 96


def cpu(n: int = 1, image: str = "worker") -> dict[str, Any]:
    """``n`` cores and the slots of the pool ``cpu`` that stand for them; ``image`` is a directory of ``images/``."""
    resources = {"cpu": str(n), "memory": f"{n * MEMORY_PER_CPU_GI}Gi"}
    return {"pool": "cpu", "pool_slots": n, "resources_needed": resources, "image": _image(image)}


def gpu(n: int = 1, image: str = "train") -> dict[str, Any]:
    """``n`` GPUs of one node and the slots of the pool ``gpu`` that stand for them, with cores and memory in proportion."""
    resources = {"nvidia.com/gpu": str(n), "cpu": str(n * CPUS_PER_GPU), "memory": f"{n * MEMORY_PER_GPU_GI}Gi"}
    return {"pool": "gpu", "pool_slots": n, "resources_needed": resources, "image": _image(image)}


def model(image: str, cores: int = 1, gpus: int = 1) -> dict[str, Any]:
    """Where a stage runs that loads a model: ``gpus`` on a cluster, ``cores`` where stages are child processes."""
    return cpu(cores) if os.environ.get("STILLHOUSE_RUNNER") == "process" else gpu(gpus, image)


def _image(name: str) -> str:
    """``STILLHOUSE_IMAGES`` is the registry and prefix, ``STILLHOUSE_TAG`` the release: set by the chart."""
    return f"{os.environ.get('STILLHOUSE_IMAGES', 'stillhouse')}/{name}:{os.environ.get('STILLHOUSE_TAG', 'latest')}"
