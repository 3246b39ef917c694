"""The trained weights of the best checkpoint so far, beside the resumable checkpoints: to be published in the end.

Only parameters that are trained are kept: adapters alone if there are any. Another rank's try, sharding or number of processes may
read them.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import Trainer

from stillhouse.execution import processes
from stillhouse.training.machine import zero

FILE = "trained.safetensors"


def save(trainer: Trainer, path: Path) -> None:
    """Write the trained parameters as they are now; all ranks call, rank 0 writes."""
    tensors: dict[str, torch.Tensor] = {}
    for name, parameter in _trained(trainer):
        with zero.gathered(parameter):
            value = parameter.detach()
            value = value.full_tensor() if isinstance(value, DTensor) else value
            if processes.rank() == 0:
                tensors[name] = value.to("cpu", copy=True).contiguous()
    if processes.rank() == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path)


def restore(trainer: Trainer, path: Path) -> None:
    """Give the trained parameters these values; all ranks call, rank 0 reads. The optimizer keeps its state: training is over."""
    with safe_open(path, "pt") if processes.rank() == 0 else nullcontext() as file:
        for name, parameter in _trained(trainer):
            with zero.gathered(parameter, written=True), torch.no_grad():
                if isinstance(parameter, DTensor):
                    whole = torch.empty(parameter.shape, dtype=parameter.dtype) if file is None else file.get_tensor(name)
                    parameter.copy_(distribute_tensor(whole.to(parameter.device), parameter.device_mesh, parameter.placements))
                    continue
                if file is not None:
                    parameter.copy_(file.get_tensor(name))
                if processes.count() > 1 and zero.stage() != 3:
                    torch.distributed.broadcast(parameter.data, 0)


def _trained(trainer: Trainer) -> Iterator[tuple[str, torch.nn.Parameter]]:
    model = trainer.accelerator.unwrap_model(trainer.model)
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)
