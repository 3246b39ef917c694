"""FSDP2: torch's own way to give every process a share of weights, gradients and optimizer state, as ZeRO 3 does.

``STILLHOUSE_SHARDING`` is ``fsdp2``, or ``fsdp2-offload``, which keeps the shares in the node's memory between their uses.
"""

from typing import Any

import torch
from transformers import Trainer

from stillhouse.errors import BadConfig
from stillhouse.execution import processes
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


def arguments() -> dict[str, Any]:
    """Trainer arguments. Each process writes its own share of a checkpoint; activations are computed twice by FSDP's own means."""
    settings = {
        "version": 2, "reshard_after_forward": True, "state_dict_type": "SHARDED_STATE_DICT",
        "cpu_offload": environment.text("STILLHOUSE_SHARDING") == "fsdp2-offload",
        "activation_checkpointing": recompute_arguments()["gradient_checkpointing"],
    }  # fmt: skip
    return {"fsdp": True, "fsdp_config": settings, "gradient_checkpointing": False}


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    """The whole trained weights by name, on rank 0; all ranks call."""
    whole: dict[str, torch.Tensor] = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    return whole
