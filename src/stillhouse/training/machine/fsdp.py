"""FSDP2: torch's own way to give every process a share of weights, gradients and optimizer state, as ZeRO 3 does.

``STILLHOUSE_SHARDING`` is ``fsdp2``, or ``fsdp2-offload``, which keeps the shares in the node's memory between their uses.
"""

from typing import Any

import torch
from accelerate import DistributedType, PartialState
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel, Trainer

from stillhouse.errors import BadConfig
from stillhouse.execution import processes
from stillhouse.training.machine import autocast
from stillhouse.training.machine.pass_settings import recompute_arguments
from stillhouse.vocabulary import environment

NAMES = ("fsdp2", "fsdp2-offload")


def is_chosen() -> bool:
    """Whether the environment asks for FSDP2. Raises BadConfig if there is only one process."""
    chosen = environment.text("STILLHOUSE_SHARDING")
    if chosen in NAMES and processes.count() == 1:
        msg = f"STILLHOUSE_SHARDING={chosen}: one process has nothing to share; start several, or choose zero-2"
        raise BadConfig(msg)
    return chosen in NAMES


def _offloads() -> bool:
    """Whether shares lie in the node's memory between their uses; on CPUs they lie there anyway."""
    return environment.text("STILLHOUSE_SHARDING") == "fsdp2-offload" and torch.cuda.is_available()


def arguments() -> dict[str, Any]:
    """Trainer arguments. Each process writes its own share of a checkpoint; activations are computed twice by FSDP's own means."""
    settings = {
        "version": 2, "reshard_after_forward": True, "state_dict_type": "SHARDED_STATE_DICT",
        "cpu_offload": _offloads(),
        "activation_checkpointing": recompute_arguments()["gradient_checkpointing"],
    }  # fmt: skip
    return {"fsdp": True, "fsdp_config": settings, "gradient_checkpointing": False}


def loading_arguments() -> dict[str, Any]:
    """What ``from_pretrained`` is told so that each process reads and keeps its own share; empty if it is to read all.

    With offload it reads all: transformers would put its share on the GPU, where FSDP does not expect it.
    """
    if not is_chosen() or _offloads():
        return {}
    return {"distributed_config": {"fsdp_size": processes.count(), "fsdp_mixed_precision": autocast.is_bf16()}}


def hand_over(model: PreTrainedModel) -> None:
    """Leave a model that was read in shares to accelerate, which takes it as one that is sharded already.

    Its layers have got classes of their own, by which accelerate finds them again.
    """
    classes = {type(module).__name__ for module in model.modules() if isinstance(module, FSDPModule)}
    model._no_split_modules = [name for name in classes if name.removeprefix("FSDP") in (model._no_split_modules or ())]
    model._is_distributed_loading_by_transformers = False
    model._fsdp_size = None
    for config in (model.config, model.config.get_text_config()):
        config.__dict__.pop("distributed_config", None)


class FsdpOnCpusMixin(Trainer):
    """A trainer whose processes share the model on CPUs too, where accelerate would ignore FSDP and give each the whole model."""

    def create_accelerator_and_postprocess(self) -> None:
        """Make the accelerator. accelerate takes FSDP for what several GPUs do, so that is what it is told of several CPUs."""
        state = PartialState()
        if is_chosen() and state.distributed_type is DistributedType.MULTI_CPU:
            state.distributed_type = DistributedType.MULTI_GPU  # the accelerator makes FSDP of it
        super().create_accelerator_and_postprocess()


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    """The whole trained weights by name, on rank 0; all ranks call."""
    whole: dict[str, torch.Tensor] = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    return whole
