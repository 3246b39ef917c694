"""Before the first step: try the longest rows, and take the fastest setting of ``pass_settings`` that leaves a tenth of the GPU.

A dry step is two forward and backward passes on made-up tokens; the second finds gradients already there, as most passes do. It
changes no weight, no random state and no result. The optimizer's moments, which come with the first step, are added by arithmetic.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from transformers import Trainer

from stillhouse.errors import EngineFailed
from stillhouse.execution import processes
from stillhouse.training.machine import fsdp, pass_settings, zero
from stillhouse.training.machine.pass_settings import PassSetting

SPARE = 0.1
"""Share of the memory that stays free."""
GIB = 2**30
OutOfMemory = torch.OutOfMemoryError


class MemoryMeter(Protocol):
    """What tells the memory of a device."""

    def limit(self) -> float:
        """Bytes this process may hold."""

    def start(self) -> None:
        """Forget the peak so far."""

    def peak(self) -> float:
        """Most bytes held since the start."""


class CudaMeter:
    """The memory of this process's GPU."""

    def limit(self) -> float:
        """All but a tenth, and but what others hold there, a vLLM's cache among them."""
        torch.cuda.empty_cache()
        free, total = torch.cuda.mem_get_info()
        return float(total * (1 - SPARE) - (total - free - torch.cuda.memory_reserved()))

    def start(self) -> None:
        """Forget the peak so far, and give back what earlier trials left to the allocator."""
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()

    def peak(self) -> float:
        """Most bytes that the allocator held."""
        return float(torch.cuda.max_memory_reserved())


def meter() -> MemoryMeter | None:
    """The meter of this machine; None where memory is not measured."""
    return CudaMeter() if torch.cuda.is_available() else None


@dataclass(frozen=True)
class _Trial:
    setting: PassSetting
    needed: float
    """Bytes; infinite if the device ran out."""

    def __str__(self) -> str:
        return f"{self.setting} " + ("does not fit" if self.needed == float("inf") else f"needs {self.needed / GIB:.1f} GiB")


def choose(trainer: Trainer, length: int, *, packed: bool = False) -> None:
    """Have the trainer use the fastest setting that fits; one line says which, and what the next faster one would need.

    ``length``: tokens of the longest row. ``packed``: whether a pass is one sequence of several rows. All ranks call and decide
    alike. Nothing is tried where memory is not measured, under ZeRO, or if the environment leaves no choice.

    Raises EngineFailed if nothing fits.
    """
    memory, settings = meter(), pass_settings.choices(trainer, length)
    if fsdp.is_chosen():
        return
    if memory is None or zero.stage() or len(settings) < 2:
        pass_settings.apply(trainer, pass_settings.current(trainer))
        return
    limit, failed = memory.limit(), list[_Trial]()
    for setting in settings:
        trial = _Trial(setting, _needed(trainer, memory, setting, length, packed=packed))
        if not processes.combined([float(trial.needed > limit)], trainer.args.device, "max")[0]:
            pass_settings.apply(trainer, setting)
            _say(trial, failed, limit, length)
            return
        failed.append(trial)
    least = min(failed, key=lambda trial: trial.needed)
    msg = (
        f"the model does not fit: the least is {least} of {limit / GIB:.1f} for rows of {length} tokens; share it over more GPUs "
        "(STILLHOUSE_SHARDING), lower the length, or train adapters; `stillhouse fit` shows what each would need"
    )
    raise EngineFailed(msg)


def _say(trial: _Trial, failed: list[_Trial], limit: float, length: int) -> None:
    if processes.rank():
        return
    faster = f"; faster, but {failed[-1]}" if failed else "; nothing is faster"
    print(f"  {trial} of {limit / GIB:.1f}, rows of {length} tokens{faster}", file=sys.stderr, flush=True)


def _needed(trainer: Trainer, memory: MemoryMeter, setting: PassSetting, length: int, *, packed: bool) -> float:
    """Bytes of a step with the setting, its optimizer included; infinite if the device runs out."""
    pass_settings.apply(trainer, setting)
    memory.start()
    try:
        with _random_state_kept():
            for _ in range(2):
                _dry_pass(trainer, setting, length, packed=packed)
        needed = memory.peak() + _moments(trainer)
    except OutOfMemory:
        needed = float("inf")
    trainer.model.zero_grad(set_to_none=True)
    gc.collect()
    return needed


def _dry_pass(trainer: Trainer, setting: PassSetting, length: int, *, packed: bool) -> None:
    model = trainer.model
    if trainer.args.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=trainer.args.gradient_checkpointing_kwargs)
    ids = torch.zeros((setting.rows, length), dtype=torch.int64, device=trainer.args.device)
    places = torch.arange(length, device=ids.device).expand_as(ids)
    if packed:
        ids, places = ids.view(1, -1), places.reshape(1, -1)
    was_training = model.training
    model.train()
    with trainer.compute_loss_context_manager(), trainer.accelerator.autocast():
        loss = model(input_ids=ids, position_ids=places, labels=ids, fused_lm_head=True, use_cache=False).loss
    loss.backward()
    model.train(was_training)


def _moments(trainer: Trainer) -> float:
    """Bytes of AdamW's moments, unless they are there already."""
    if trainer.optimizer is not None and trainer.optimizer.state:
        return 0.0
    trained = [parameter for parameter in trainer.model.parameters() if parameter.requires_grad]
    if "8bit" in str(trainer.args.optim):
        return float(sum(2 * parameter.numel() for parameter in trained))
    return float(sum(2 * parameter.nbytes for parameter in trained))


@contextmanager
def _random_state_kept() -> Iterator[None]:
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        yield
