"""The trained weights of the best checkpoint so far, beside the resumable checkpoints: to be published in the end.

Only parameters that are trained are kept: adapters alone if there are any. Another rank's try, sharding or number of processes may
read them.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import Trainer

from stillhouse.execution import processes
from stillhouse.training.machine import zero

FILE = "trained.safetensors"


def save(trainer: Trainer, path: Path) -> None:
    """Write the trained parameters as they are now; all ranks call, rank 0 writes."""
    tensors: dict[str, torch.Tensor] = {}
    for name, parameter in _trained(trainer):
        with _whole(parameter):
            if processes.rank() == 0:
                tensors[name] = parameter.detach().to("cpu", copy=True).contiguous()
    if processes.rank() == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path)


def restore(trainer: Trainer, path: Path) -> None:
    """Give the trained parameters these values; all ranks call, rank 0 reads. The optimizer keeps its state: training is over."""
    with safe_open(path, "pt") if processes.rank() == 0 else nullcontext() as file:
        for name, parameter in _trained(trainer):
            with _whole(parameter, written=True), torch.no_grad():
                if file is not None:
                    parameter.copy_(file.get_tensor(name))
                if processes.count() > 1 and zero.stage() != 3:
                    torch.distributed.broadcast(parameter.data, 0)


def _trained(trainer: Trainer) -> Iterator[tuple[str, torch.nn.Parameter]]:
    model = trainer.accelerator.unwrap_model(trainer.model)
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)


def _whole(parameter: torch.nn.Parameter, *, written: bool = False) -> AbstractContextManager[Any]:
    """While the block runs, the parameter is whole; with ``written`` all ranks then take over rank 0's values."""
    if zero.stage() != 3:
        return nullcontext()
    from deepspeed import zero as deepspeed_zero  # not installed in every environment that trains

    context: AbstractContextManager[Any] = deepspeed_zero.GatheredParameters([parameter], modifier_rank=0 if written else None)
    return context
