"""How a model is partitioned over the processes of its training: DeepSpeed's ZeRO 1, 2 or 3, with or without offload to the host.

ZeRO decides where bytes lie and changes no result beyond rounding, so it comes from the environment: ``STILLHOUSE_SHARDING`` names
one of ``recipes/zero-*.yaml``, or a file in the same format, which is DeepSpeed's own; ``fsdp2`` is torch's (``fsdp``). If it is
unset, every process holds the whole model.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import PreTrainedModel, Trainer
from transformers.integrations import HfDeepSpeedConfig
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from stillhouse.errors import BadConfig, nearest
from stillhouse.execution import processes
from stillhouse.execution.recipes import RECIPES
from stillhouse.training.machine import autocast, fsdp
from stillhouse.vocabulary import environment

ACCELERATE = "ACCELERATE_"
"""How the variables begin that accelerate sets for what it starts."""
AUTO = "auto"
"""A value in a DeepSpeed config that the trainer fills in: batch sizes, precision, clipping."""


def settings() -> dict[str, Any] | None:
    """The chosen DeepSpeed config; None for FSDP2 or nothing. Raises BadConfig for an unknown name or a file of another kind."""
    chosen = environment.text("STILLHOUSE_SHARDING")
    if not chosen or fsdp.is_chosen():
        return None
    known = {path.stem: path for path in RECIPES.glob("zero-*.yaml")}
    path = known.get(chosen, Path(chosen))
    config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    if not isinstance(config, dict) or "zero_optimization" not in config:
        hint = nearest(chosen, [*known, *fsdp.NAMES], "names")
        msg = f"STILLHOUSE_SHARDING={chosen}: neither a DeepSpeed config nor a known name; {hint}"
        raise BadConfig(msg)
    return config


def stage() -> int:
    """ZeRO's level: it partitions nothing (0), the optimizer state (1), gradients too (2), weights too (3)."""
    return int((settings() or {"zero_optimization": {"stage": 0}})["zero_optimization"]["stage"])


def offloads() -> bool:
    """Whether the optimizer's state lies in the host's memory, and is stepped there."""
    return "offload_optimizer" in (settings() or {}).get("zero_optimization", {})


@contextmanager
def deepspeed_environment() -> Iterator[None]:
    """Set what DeepSpeed reads from the environment while the block trains: the device, and that a single process is alone.

    The variables get their earlier values back at the end, and transformers forgets that weights are partitioned; what torchrun
    has set is left as it is.
    """
    variables = {} if torch.cuda.is_available() else {"DS_ACCELERATOR": "cpu"}
    if settings() is not None:
        _do_not_compile_shared_memory()
        variables |= {} if "RANK" in os.environ else _alone()
    before = dict(os.environ)
    os.environ.update({name: value for name, value in variables.items() if name not in before})
    try:
        yield
    finally:
        # Also what accelerate adds: it would take the next training in this process for a sharded one.
        for name in os.environ.keys() - before.keys():
            if name in variables or name.startswith(ACCELERATE):
                del os.environ[name]
        if settings() is not None:
            unset_hf_deepspeed_config()


def _do_not_compile_shared_memory() -> None:
    """On CPUs DeepSpeed would otherwise compile this operation for minutes in the first run on every machine."""
    from deepspeed import ops  # not installed in every environment that trains

    ops.__compatible_ops__["deepspeed_shm_comm"] = False


def _alone() -> dict[str, str]:
    """What torchrun would set for a single process."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    return {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def arguments() -> dict[str, Any]:
    """Trainer arguments: how processes communicate, and the DeepSpeed config if one is chosen."""
    chosen = settings()
    if not chosen and processes.count() == 1:
        return {}
    backend = {} if torch.cuda.is_available() else {"ddp_backend": "gloo"}
    if fsdp.is_chosen():
        return backend | fsdp.arguments()
    return backend | ({"deepspeed": chosen} if chosen else {"ddp_find_unused_parameters": False})


def has_bf16_weights() -> bool:
    """Whether DeepSpeed trains weights in bf16, with fp32 masters in its optimizer: under any ZeRO, on a GPU with bf16 passes."""
    return stage() > 0 and torch.cuda.is_available() and autocast.is_bf16()


@contextmanager
def loading() -> Iterator[None]:
    """While the block reads weights under ZeRO 3, each process keeps its own share, so that none holds them all."""
    if stage() != 3:
        yield
        return
    known = {name: value for name, value in (settings() or {}).items() if value != AUTO and name != "bf16"}
    kept = HfDeepSpeedConfig(known | {"train_micro_batch_size_per_gpu": 1, "bf16": {"enabled": has_bf16_weights()}})
    yield
    del kept  # transformers uses it for as long as it lives


def n_parameters(model: PreTrainedModel) -> int:
    """The number of parameters of the whole model, even if this process holds a share of each."""
    return sum(getattr(parameter, "ds_numel", parameter.numel()) for parameter in model.parameters())


def weights(trainer: Trainer) -> dict[str, torch.Tensor] | None:
    """Under ZeRO 3 or FSDP2 the whole trained weights by name, on rank 0; None if the model itself has them. All ranks call."""
    if fsdp.is_chosen():
        return fsdp.weights(trainer)
    return trainer.accelerator.get_state_dict(trainer.model_wrapped) if stage() == 3 else None


def masters(trainer: Trainer) -> dict[str, torch.Tensor] | None:
    """Under ZeRO the whole weights in fp32 by name, on rank 0: those that the optimizer steps, not their roundings to bf16.

    None if the model itself has them: without ZeRO, or with adapters, whose base is not stepped. All ranks call.
    """
    if not stage() or hasattr(trainer.model, "peft_config"):
        return weights(trainer)
    from deepspeed.utils import safe_get_full_fp32_param  # not installed in every environment that trains

    model, whole = trainer.accelerator.unwrap_model(trainer.model), dict[str, torch.Tensor]()
    for name, parameter in model.named_parameters():
        master = safe_get_full_fp32_param(parameter)  # one at a time: all ranks gather it
        with gathered(parameter):
            if processes.rank() == 0:
                whole[name] = _of_model(parameter.detach(), master).cpu()
    return whole


def _of_model(parameter: torch.Tensor, master: torch.Tensor | None) -> torch.Tensor:
    """A master, if the model has its rounding; else what the model has, in fp32: the weights of an earlier, better step."""
    if master is not None and torch.equal(master.view(parameter.shape).to(parameter), parameter):
        return master.detach().view(parameter.shape).float()
    return parameter.float()


def gathered(parameter: torch.nn.Parameter, *, written: bool = False) -> AbstractContextManager[Any]:
    """While the block runs, a parameter is whole; with ``written`` all ranks then take over rank 0's values."""
    if stage() != 3:
        return nullcontext()
    from deepspeed import zero as deepspeed_zero  # not installed in every environment that trains

    context: AbstractContextManager[Any] = deepspeed_zero.GatheredParameters([parameter], modifier_rank=0 if written else None)
    return context


def require_whole_weights(field: str) -> None:
    """Raise BadConfig, naming a config field that does not work with partitioned weights."""
    if stage() == 3 or fsdp.is_chosen():
        msg = f"{field}: not with STILLHOUSE_SHARDING={os.environ['STILLHOUSE_SHARDING']}; choose zero-2, which keeps weights whole"
        raise BadConfig(msg)
