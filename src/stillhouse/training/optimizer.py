"""The optimizer's state, carried from one RL stage over the border to the next, however either was cut over its processes.

On disk it is whole, in fp32 and by the parameters' names. AdamW itself holds it for other tensors where ZeRO cuts the model: each
process steps long flat ones, in which a parameter has its share at some place.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillhouse.errors import BadConfig
from stillhouse.execution import processes
from stillhouse.training.machine import zero

FILE = "optimizer.safetensors"
"""Beside a checkpoint's weights: AdamW's step, and its moments of every parameter as ``NAME.exp_avg`` and ``NAME.exp_avg_sq``."""
MOMENTS = ("exp_avg", "exp_avg_sq")
STEP = "step"
FLAT = ("fp32_partitioned_groups_flat", "single_partition_of_fp32_groups", "fp32_groups_flat_partition")
"""What ZeRO 3, ZeRO 1 and 2, and ZeRO 1 in bf16 call the tensors that they step."""


@dataclass(frozen=True)
class Share:
    """The part of a parameter that this process holds the moments of: ``n`` numbers, maybe none."""

    name: str
    shape: tuple[int, ...]
    """Of the whole parameter."""
    tensor: Any
    """What AdamW steps."""
    at: int
    """Where in that tensor the share begins."""
    begin: int
    """Where in the parameter it begins."""
    n: int


def save(trainer: Any, directory: Path) -> None:
    """Write the state beside the weights: rank 0, parameter by parameter; all ranks."""
    import torch
    from safetensors.torch import save_file

    state, made = _state(trainer), {}
    for share in _shares(trainer):
        for name in MOMENTS:
            whole = torch.zeros(math.prod(share.shape), device=trainer.accelerator.device)
            whole[share.begin : share.begin + share.n] = _moment(state, share, name)
            if zero.stage():
                torch.distributed.all_reduce(whole)
            if processes.rank() == 0:
                made[f"{share.name}.{name}"] = whole.view(share.shape).cpu()
    if processes.rank() == 0:
        made[STEP] = torch.tensor(float(next(iter(state.values()))[STEP]))
        save_file(made, directory / FILE)


def steps(checkpoint: Path) -> float:
    """How many steps the state beside a checkpoint's weights has seen."""
    from safetensors import safe_open

    with safe_open(checkpoint / FILE, "pt") as file:
        return float(file.get_tensor(STEP))


def require(checkpoint: Path) -> None:
    """Raise BadConfig for a checkpoint without the state."""
    if not (checkpoint / FILE).is_file():
        msg = f"carry_optimizer: the checkpoint has no {FILE}; begin from an rl artifact made with keep_optimizer: true"
        raise BadConfig(msg)


def carried(trainer: Any, checkpoint: Path) -> Any:
    """A ``TrainerCallback`` that begins with the state beside a checkpoint's weights; the learning rate stays the new stage's.

    Raises BadConfig for the state of another architecture.
    """
    from transformers import TrainerCallback

    class Carried(TrainerCallback):  # type: ignore[misc]
        """Loads the state before the first step; a resumed training has its own."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            """Once, when optimizer and schedule are there."""
            if not state.global_step:
                _load(trainer, checkpoint / FILE)

    return Carried()


def _load(trainer: Any, path: Path) -> None:
    """Put the file's moments in place, each process its share."""
    from safetensors import safe_open

    state, shares = _state(trainer), list(_shares(trainer))
    with safe_open(path, "pt") as file:
        names = set(file.keys()) - {STEP}
        found = {name: tuple(file.get_slice(name).get_shape()) for name in names}
        if found != {f"{share.name}.{name}": share.shape for share in shares for name in MOMENTS}:
            msg = f"carry_optimizer: {FILE} is of a model with other weights than the checkpoint's; set it to false"
            raise BadConfig(msg)
        step = float(file.get_tensor(STEP))
        for share in shares:
            _begin(trainer, state[share.tensor], share.tensor, step)
            for name in MOMENTS:
                whole = file.get_tensor(f"{share.name}.{name}").view(-1)
                _moment(state, share, name).copy_(whole[share.begin : share.begin + share.n])


def _begin(trainer: Any, own: dict[str, Any], tensor: Any, step: float) -> None:
    """What AdamW has for a tensor after so many steps, its moments zero where they were not there yet."""
    import torch

    on_device = any(group.get("fused") or group.get("capturable") for group in _adam(trainer).param_groups)
    own[STEP] = torch.tensor(step, device=tensor.device if on_device else "cpu")
    for name in MOMENTS:
        if name not in own:  # a flat tensor is met once for each parameter in it
            own[name] = torch.zeros_like(tensor)


def _adam(trainer: Any) -> Any:
    """torch's AdamW, under what wraps it."""
    return _zero(trainer).optimizer if zero.stage() else trainer.optimizer


def _zero(trainer: Any) -> Any:
    """DeepSpeed's optimizer around AdamW. Raises BadConfig where the state lies on disk."""
    found = trainer.model_wrapped.optimizer
    if getattr(found, "swap_optimizer", False):
        msg = "keep_optimizer, carry_optimizer: not with an optimizer that is offloaded to NVMe; offload it to the cpu"
        raise BadConfig(msg)
    return found


def _state(trainer: Any) -> Any:
    return _adam(trainer).state


def _moment(state: Any, share: Share, name: str) -> Any:
    return state[share.tensor][name].view(-1)[share.at : share.at + share.n]


def _shares(trainer: Any) -> Iterator[Share]:
    """Every parameter that is trained, with the part of it that this process steps."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    engine = _zero(trainer) if zero.stage() else None
    flat: Any = next((getattr(engine, name) for name in FLAT if hasattr(engine, name)), None)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        shape = tuple(getattr(parameter, "ds_shape", parameter.shape))
        if engine is None:
            yield Share(name, shape, parameter, 0, 0, parameter.numel())
        elif zero.stage() == 3:
            group, at, n = engine.grad_position[engine.get_param_id(parameter)]
            begin = min(n * processes.rank(), math.prod(shape))
            yield Share(name, shape, flat[group], at, begin, min(n, math.prod(shape) - begin))  # the last share is padded
        else:
            yield _of_zero_2(name, shape, parameter._hp_mapping, flat)


def _of_zero_2(name: str, shape: tuple[int, ...], mapping: Any, flat: Any) -> Share:
    if mapping is None:  # the whole parameter is another process's
        return Share(name, shape, flat[0], 0, 0, 0)
    inside, own = mapping.lp_fragment_address, mapping.get_hp_fragment_address()
    return Share(name, shape, flat[mapping.param_group_index], own.start, inside.start, own.numel)
