"""A GPU that runs out of memory in the middle of a training: go on from the last step with the next smaller setting.

A step changes weights only at its end, so the weights are those of the last step when memory runs out in a pass. They are saved
with optimizer, schedule and random state, as for a resume, and training goes on from there. No step is lost or done twice.
"""

import gc
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from stillhouse.errors import EngineFailed
from stillhouse.execution import processes
from stillhouse.training.machine import pass_settings, zero
from stillhouse.training.machine.pass_settings import PassSetting


def train(trainer: Trainer, checkpoint: Path | None) -> None:
    """Train from a checkpoint, or from the first step, to the end.

    Raises EngineFailed if memory runs out and no smaller setting is left, or several processes share the training.
    """
    last = _LastStep(trainer)
    trainer.add_callback(last)
    while not _trained(trainer, checkpoint):
        setting = _next_setting(trainer)
        checkpoint = _state_of_last_step(trainer, last, checkpoint)
        before = pass_settings.current(trainer)
        pass_settings.apply(trainer, setting)
        print(
            f"  out of GPU memory in step {last.step + 1} with {before}: it goes on from step {last.step} with {setting}",
            file=sys.stderr, flush=True,
        )  # fmt: skip


def _trained(trainer: Trainer, checkpoint: Path | None) -> bool:
    """Whether training came to its end; False if memory ran out. The error, whose frames hold tensors, is gone when it returns."""
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError as error:
        if processes.count() > 1 or zero.stage() or pass_settings.smaller(trainer) is None:
            raise _hopeless(trainer) from error
        return False
    return True


def _hopeless(trainer: Trainer) -> EngineFailed:
    smaller = pass_settings.smaller(trainer)
    advice = (
        f"set STILLHOUSE_MICRO_BATCH={smaller.rows} and STILLHOUSE_GRADIENT_CHECKPOINTING={smaller.recompute}, and run it again"
        if smaller
        else "share the model over more GPUs (STILLHOUSE_SHARDING), or lower the length; see `stillhouse fit`"
    )
    return EngineFailed(
        f"out of GPU memory in step {trainer.state.global_step + 1} with {pass_settings.current(trainer)}; {advice}"
    )


def _next_setting(trainer: Trainer) -> PassSetting:
    setting = pass_settings.smaller(trainer)
    if setting is None:  # _trained has looked
        raise _hopeless(trainer)
    return setting


class _LastStep(TrainerCallback):
    """What was true after the last whole step."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer, self.begin, self.step, self.tokens = trainer, 0, 0, 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Of this start."""
        self.begin = self.step = state.global_step
        self.tokens = self._trainer._total_train_tokens

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """After every optimizer step."""
        self.step, self.tokens = state.global_step, self._trainer._total_train_tokens


def _state_of_last_step(trainer: Trainer, last: _LastStep, checkpoint: Path | None) -> Path | None:
    """A checkpoint of the last whole step: the one it started from if no step was done since. The trainer is as new."""
    trainer.model.zero_grad(set_to_none=True)
    gc.collect()
    torch.cuda.empty_cache()
    if last.step > last.begin:
        trainer.state.global_step = last.step
        checkpoint = Path(trainer.args.output_dir) / f"checkpoint-{last.step}"
        if not checkpoint.is_dir():
            trainer._save_checkpoint(trainer.model, None)
    trainer._total_train_tokens = last.tokens
    trainer.accelerator.free_memory()
    trainer.model_wrapped, trainer.optimizer, trainer.lr_scheduler = trainer.model, None, None
    for name, value in (("_step", 0), ("_buffered_inputs", None)):  # GRPO's rollouts of the step
        if hasattr(trainer, name):
            setattr(trainer, name, value)
    return checkpoint
