"""The optimizer state, carried from one RL stage to the next, whatever number of processes and ZeRO level either one has.

On disk the state is whole, in fp32, by parameter name. Under ZeRO, AdamW holds it for other tensors: each process steps long flat
tensors, and a parameter's share lies somewhere in one of them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from stillhouse.errors import BadConfig
from stillhouse.execution import processes
from stillhouse.training.machine import zero

FILE = "optimizer.safetensors"
"""Beside a checkpoint's weights: AdamW's step, and its moments of every parameter as ``NAME.exp_avg`` and ``NAME.exp_avg_sq``."""
MOMENTS = ("exp_avg", "exp_avg_sq")
STEP = "step"
FLAT = ("fp32_partitioned_groups_flat", "single_partition_of_fp32_groups", "fp32_groups_flat_partition")
"""Names of the flat tensors in ZeRO 3, in ZeRO 1 and 2, and in ZeRO 1 with bf16."""

AdamState = dict[torch.Tensor, dict[str, torch.Tensor]]
"""AdamW's: by the tensor it steps, ``step`` (a scalar) and both moments (of the tensor's shape)."""


@dataclass(frozen=True)
class MomentShare:
    """The part of a parameter whose moments this process holds: ``n`` elements, possibly none."""

    name: str
    shape: tuple[int, ...]
    """Of the whole parameter."""
    tensor: torch.Tensor
    """The tensor AdamW steps: the parameter itself, or a flat fp32 tensor of shape (elements,)."""
    at: int
    """Where the share begins in that tensor, in elements."""
    begin: int
    """Where the share begins in the flattened parameter, in elements."""
    n: int


def save(trainer: Trainer, directory: Path) -> None:
    """Write the state beside the weights, one parameter after the other; all ranks call, rank 0 writes."""
    state, tensors = _state(trainer), dict[str, torch.Tensor]()
    for share in _shares(trainer):
        for name in MOMENTS:
            whole = torch.zeros(math.prod(share.shape), device=trainer.accelerator.device)
            whole[share.begin : share.begin + share.n] = _moment(state, share, name)
            if zero.stage():
                torch.distributed.all_reduce(whole)
            if processes.rank() == 0:
                tensors[f"{share.name}.{name}"] = whole.view(share.shape).cpu()
    if processes.rank() == 0:
        tensors[STEP] = torch.tensor(float(next(iter(state.values()))[STEP]))
        save_file(tensors, directory / FILE)


def steps(checkpoint: Path) -> float:
    """How many steps the state beside a checkpoint's weights has seen."""
    with safe_open(checkpoint / FILE, "pt") as file:
        return float(file.get_tensor(STEP))


def require(checkpoint: Path) -> None:
    """Raise BadConfig if a checkpoint has no optimizer state."""
    if not (checkpoint / FILE).is_file():
        msg = f"carry_optimizer: the checkpoint has no {FILE}; begin from an rl artifact made with keep_optimizer: true"
        raise BadConfig(msg)


class CarriedOptimizer(TrainerCallback):
    """Starts with the state beside a checkpoint's weights; the learning rate remains that of the new stage."""

    def __init__(self, trainer: Trainer, checkpoint: Path) -> None:
        """``trainer``: the one that trains from ``checkpoint``."""
        self._trainer, self._path = trainer, checkpoint / FILE

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Once the optimizer and the schedule exist. A resumed training has loaded its own state.

        Raises BadConfig if the state belongs to another architecture.
        """
        if not state.global_step:
            _load(self._trainer, self._path)


def _load(trainer: Trainer, path: Path) -> None:
    """Load the file's moments; each process loads its share."""
    state, shares = _state(trainer), list(_shares(trainer))
    with safe_open(path, "pt") as file:
        names = set(file.keys()) - {STEP}
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
        if shapes != {f"{share.name}.{name}": share.shape for share in shares for name in MOMENTS}:
            msg = f"carry_optimizer: {FILE} belongs to a model with other weights than the checkpoint's; set it to false"
            raise BadConfig(msg)
        step = float(file.get_tensor(STEP))
        for share in shares:
            _initialise(trainer, state[share.tensor], share.tensor, step)
            for name in MOMENTS:
                whole = file.get_tensor(f"{share.name}.{name}").view(-1)
                _moment(state, share, name).copy_(whole[share.begin : share.begin + share.n])


def _initialise(trainer: Trainer, tensor_state: dict[str, torch.Tensor], tensor: torch.Tensor, step: float) -> None:
    """Set a tensor's step count, and its moments to zero if it has none yet."""
    on_device = any(group.get("fused") or group.get("capturable") for group in _adam(trainer).param_groups)
    tensor_state[STEP] = torch.tensor(step, device=tensor.device if on_device else "cpu")
    for name in MOMENTS:
        if name not in tensor_state:  # a flat tensor comes up once for each parameter in it
            tensor_state[name] = torch.zeros_like(tensor)


def _adam(trainer: Trainer) -> torch.optim.Optimizer:
    """torch's AdamW, without its wrappers."""
    return _zero_optimizer(trainer).optimizer if zero.stage() else trainer.optimizer


def _zero_optimizer(trainer: Trainer) -> Any:
    """DeepSpeed's optimizer around AdamW (its class depends on the ZeRO level). Raises BadConfig if the state lies on disk."""
    optimizer = trainer.model_wrapped.optimizer
    if getattr(optimizer, "swap_optimizer", False):
        msg = "keep_optimizer, carry_optimizer: not with an optimizer that is offloaded to NVMe; offload it to the cpu"
        raise BadConfig(msg)
    return optimizer


def _state(trainer: Trainer) -> AdamState:
    state: AdamState = _adam(trainer).state
    return state


def _moment(state: AdamState, share: MomentShare, name: str) -> torch.Tensor:
    """The share's elements of one moment, shape (share.n,): a view into AdamW's state."""
    return state[share.tensor][name].view(-1)[share.at : share.at + share.n]


def _shares(trainer: Trainer) -> Iterator[MomentShare]:
    """Every trained parameter, with the part of it that this process steps."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    engine = _zero_optimizer(trainer) if zero.stage() else None
    flat: Any = next((getattr(engine, name) for name in FLAT if hasattr(engine, name)), None)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        shape = tuple(getattr(parameter, "ds_shape", parameter.shape))
        if engine is None:
            yield MomentShare(name, shape, parameter, 0, 0, parameter.numel())
        elif zero.stage() == 3:
            group, at, n = engine.grad_position[engine.get_param_id(parameter)]
            begin = min(n * processes.rank(), math.prod(shape))
            yield MomentShare(name, shape, flat[group], at, begin, min(n, math.prod(shape) - begin))  # the last share is padded
        else:
            yield _zero_2_share(name, shape, parameter._hp_mapping, flat)


def _zero_2_share(name: str, shape: tuple[int, ...], mapping: Any, flat: list[torch.Tensor]) -> MomentShare:
    """``mapping``: DeepSpeed's, from the parameter to the flat fp32 tensors; None if another process holds all of it."""
    if mapping is None:
        return MomentShare(name, shape, flat[0], 0, 0, 0)
    inside, own = mapping.lp_fragment_address, mapping.get_hp_fragment_address()
    return MomentShare(name, shape, flat[mapping.param_group_index], own.start, inside.start, own.numel)
