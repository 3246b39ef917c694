"""Report a trainer's progress and metrics to the stage, and measure what the trainer does not: padding and GPU memory."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from stillhouse.execution import processes
from stillhouse.execution.contract import StageInputs
from stillhouse.training.loop import Batch
from stillhouse.training.machine import zero
from stillhouse.training.machine.pass_settings import recompute_arguments


class ReportProgress(TrainerCallback):
    """Passes steps to ``inputs.progress`` and logged metrics to ``inputs.log``."""

    def __init__(self, inputs: StageInputs) -> None:
        """Nothing has been logged yet."""
        self._inputs = inputs
        self._tokens: float | None = None
        self._since = 0.0

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """After every optimizer step."""
        self._inputs.progress(state.global_step, state.max_steps, "steps")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Whenever the trainer logs."""
        metrics = dict(logs or {})
        if "num_tokens" in metrics:
            metrics |= self._rate(float(metrics["num_tokens"]))
        self._inputs.log(numbers(metrics), state.global_step)

    def _rate(self, tokens: float) -> dict[str, float]:
        """Tokens per second since the last log; empty the first time, when ``tokens`` includes those of an earlier try."""
        now, before, since = time.monotonic(), self._tokens, self._since
        self._tokens, self._since = tokens, now
        return {} if before is None else {"tokens_per_s": (tokens - before) / max(now - since, 1e-9)}


def attach(trainer: Trainer, inputs: StageInputs) -> None:
    """Report the trainer's progress to the stage instead of printing its raw logs."""
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(ReportProgress(inputs))


class MeasuredMixin(Trainer):
    """A trainer that also logs the share of padding in its batches (if they are tensors), and the memory of its GPU."""

    _n_padding, _n_tokens = 0, 0
    """In the batches since the last log."""

    def training_step(
        self, model: PreTrainedModel, inputs: Batch, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """One forward and backward pass: the loss, a scalar."""
        if isinstance(inputs, Mapping):
            self._n_tokens += inputs["input_ids"].numel()
            self._n_padding += int((inputs["attention_mask"] == 0).sum()) if "attention_mask" in inputs else 0
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Once a step; all ranks, since the padding is that of the whole batch."""
        if self._n_tokens:
            n_padding, n_tokens = processes.combined([self._n_padding, self._n_tokens], self.args.device, "sum")
            logs["padding_share"] = n_padding / n_tokens
            self._n_padding = self._n_tokens = 0
        super().log(logs | _gpu_memory(), start_time)


def _gpu_memory() -> dict[str, float]:
    """Peak memory of tensors on this process's GPU since the last call, in GiB; MLflow's monitor records its utilisation."""
    if not torch.cuda.is_available():
        return {}
    peak = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.reset_peak_memory_stats()
    return {"gpu_memory_gib": peak}


def numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """The numeric entries, with ``train/`` before their names."""
    return {f"train/{name}": float(value) for name, value in logs.items() if isinstance(value, int | float)}


def machine_arguments() -> dict[str, Any]:
    """Trainer arguments about the machine, not the result: devices, ZeRO, no second tracker, no progress bars in logs."""
    gpu = torch.cuda.is_available()
    return {
        "use_cpu": not gpu, "bf16": gpu and torch.cuda.is_bf16_supported(), "report_to": "none", "disable_tqdm": True,
        "dataloader_pin_memory": gpu, **zero.arguments(),
        **recompute_arguments(),
    }  # fmt: skip


def final_numbers(trainer: Trainer) -> dict[str, float]:
    """The metrics of the last logged step, for the manifest."""
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    return numbers(history[-1]) if history else {}
