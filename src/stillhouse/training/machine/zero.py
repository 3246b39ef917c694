"""How a model is cut over the processes of its training: DeepSpeed's ZeRO 1, 2 or 3, with or without offload to the host.

Sharding decides where bytes lie and no result beyond rounding, so it comes from the environment: ``STILLHOUSE_SHARDING`` names one
of ``recipes/zero-*.yaml``, or a file in the same format, DeepSpeed's own. Unset, every process holds the whole model.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from stillhouse.errors import BadConfig, nearest
from stillhouse.execution import processes
from stillhouse.execution.recipes import RECIPES

AUTO = "auto"
"""What the trainer fills in of a DeepSpeed config: batches, precision, clipping."""


def settings() -> dict[str, Any] | None:
    """The chosen DeepSpeed config, None where none is. Raises BadConfig for a name or a file that is none."""
    chosen = os.environ.get("STILLHOUSE_SHARDING")
    if not chosen:
        return None
    known = {path.stem: path for path in RECIPES.glob("zero-*.yaml")}
    path = known.get(chosen, Path(chosen))
    found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    if not isinstance(found, dict) or "zero_optimization" not in found:
        msg = f"STILLHOUSE_SHARDING={chosen}: neither a DeepSpeed config nor a known name; {nearest(chosen, known, 'names')}"
        raise BadConfig(msg)
    return found


def stage() -> int:
    """What is cut: 0 nothing, 1 the optimizer's state, 2 gradients too, 3 weights too."""
    return int((settings() or {"zero_optimization": {"stage": 0}})["zero_optimization"]["stage"])


def prepare() -> None:
    """Say what DeepSpeed reads of the environment when it is imported: the device; without torchrun, that it is alone."""
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    if settings() is None:
        return
    from deepspeed import ops

    ops.__compatible_ops__["deepspeed_shm_comm"] = False  # on CPUs it would be compiled in every first run, for minutes
    if "RANK" not in os.environ:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            alone = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": probe.getsockname()[1]}
        os.environ.update({name: str(value) for name, value in alone.items()})


def arguments() -> dict[str, Any]:
    """Trainer arguments: how processes work together, and what DeepSpeed does if it is asked for."""
    import torch

    chosen = settings()
    if not chosen and processes.count() == 1:
        return {}
    backend = {} if torch.cuda.is_available() else {"ddp_backend": "gloo"}
    return backend | ({"deepspeed": chosen} if chosen else {"ddp_find_unused_parameters": False})


@contextmanager
def loading() -> Iterator[None]:
    """While weights are read: each process keeps its own share alone where ZeRO 3 cuts them, so that none holds them all."""
    if stage() != 3:
        yield
        return
    import torch
    from transformers.integrations import HfDeepSpeedConfig

    known = {name: value for name, value in (settings() or {}).items() if value != AUTO and name != "bf16"}
    bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    kept = HfDeepSpeedConfig(known | {"train_micro_batch_size_per_gpu": 1, "bf16": {"enabled": bf16}})
    yield
    del kept  # transformers looks at it for as long as it lives


def n_parameters(model: Any) -> int:
    """The parameters of the whole model, also where this process holds a share of each."""
    return sum(getattr(each, "ds_numel", each.numel()) for each in model.parameters())


def weights(trainer: Any) -> dict[str, Any] | None:
    """The trained weights that ZeRO 3 had cut, whole, on rank 0; None where the model has them itself; all ranks."""
    return trainer.accelerator.get_state_dict(trainer.model_wrapped) if stage() == 3 else None


def require_whole_weights(field: str) -> None:
    """Raise BadConfig for a field of the config that cannot be had where weights are cut."""
    if stage() == 3:
        msg = f"{field}: not with STILLHOUSE_SHARDING={os.environ['STILLHOUSE_SHARDING']}; choose zero-2, which keeps weights whole"
        raise BadConfig(msg)
