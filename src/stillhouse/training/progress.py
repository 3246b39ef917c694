"""Report a trainer's progress and metrics to the stage, and measure what the trainer does not: padding, time, memory and MFU."""

import sys
import time
from collections import deque
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
from stillhouse.training import card_peaks, metrics_file
from stillhouse.training.loop import Batch
from stillhouse.training.machine import autocast, zero
from stillhouse.training.machine.pass_settings import recompute_arguments
from stillhouse.training.start_times import StartTimes
from stillhouse.vocabulary.text import duration

PARTS = {"rollout": ("rollout",), "sync": ("sync", "probe"), "verify": ("verify",)}
"""Parts of an rl step, and the timings that make them up; the rest of a step is the update, and waiting between steps."""
RECENT = 20
"""Steps from whose mean time the time left is computed."""


class MeasuredMixin(Trainer):
    """A trainer that also logs the share of padding in its batches (if they are tensors), and counts their FLOPs on a GPU."""

    _n_padding, _n_tokens = 0, 0
    """In the batches since the last log."""
    _flops = 0.0
    """Of this process's forward and backward passes since the last log."""
    training_flops: card_peaks.TrainingFlops | None = None
    """None if FLOPs are not counted."""
    start_times: StartTimes | None = None
    """Told of the first step, and then reported."""

    def training_step(
        self, model: PreTrainedModel, inputs: Batch, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """One forward and backward pass: the loss, a scalar."""
        if isinstance(inputs, Mapping):
            self._n_tokens += inputs["input_ids"].numel()
            self._n_padding += int((inputs["attention_mask"] == 0).sum()) if "attention_mask" in inputs else 0
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        return loss

    def _prepare_inputs(self, inputs: Any) -> Any:
        """The batch of one forward pass, on its device."""
        batch = super()._prepare_inputs(inputs)
        if self.training_flops is not None and self.model.training:
            self._flops += self.training_flops.of(lengths(batch))
        return batch

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Once a step; all ranks, since the padding is that of the whole batch."""
        if self._n_tokens:
            n_padding, n_tokens = processes.combined([self._n_padding, self._n_tokens], self.args.device, "sum")
            logs["padding_share"] = n_padding / n_tokens
            self._n_padding = self._n_tokens = 0
        super().log(logs, start_time)

    def flops(self) -> float:
        """Of the forward and backward passes of all processes since the last call; all ranks."""
        (total,), self._flops = processes.combined([self._flops], self.args.device, "sum"), 0.0
        return total


def lengths(batch: Mapping[str, torch.Tensor]) -> list[int]:
    """Tokens of each sequence in a forward pass: of padded rows, of the documents of a pack, or of prompts with their rollouts.

    ``attention_mask``, ``position_ids``, ``prompt_mask``, ``completion_mask``: int64, shape (rows, tokens).
    """
    if "prompt_mask" in batch:
        counts = batch["prompt_mask"].sum(dim=1) + batch["completion_mask"].sum(dim=1)
    elif "attention_mask" in batch:
        counts = batch["attention_mask"].sum(dim=1)
    else:
        positions = batch["position_ids"].flatten()
        starts = (positions == 0).nonzero().flatten().tolist()
        return [end - start for start, end in zip(starts, [*starts[1:], len(positions)], strict=True)]
    return [int(n) for n in counts.tolist()]


class ReportProgress(TrainerCallback):
    """After every step: a line on the terminal, a line in ``metrics.jsonl``, and the numbers to ``inputs.log``."""

    def __init__(self, trainer: MeasuredMixin, inputs: StageInputs) -> None:
        """Nothing has been logged yet."""
        self._trainer, self._inputs = trainer, inputs
        self._peak = card_peaks.peak()
        if self._peak is not None:
            trainer.training_flops = card_peaks.training_flops(trainer.model)
        self._tokens = 0.0
        self._since = self._begun = self._ended = time.monotonic()
        self._logged: deque[float] = deque(maxlen=RECENT + 1)
        """When the last steps were logged."""
        self._memory = 0.0
        self._gpu_hours = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Before the first step."""
        if self._trainer.start_times:
            self._trainer.start_times.ended("move")
        # SFT counts tokens in the first, GRPO in the second; both include an earlier try's.
        self._tokens = max(self._trainer._total_train_tokens, state.num_input_tokens_seen)
        self._since = time.monotonic()
        self._logged.append(self._since)
        self._gpu_hours = max((float(entry.get("gpu_hours", 0.0)) for entry in state.log_history), default=0.0)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Once a step's batch is there."""
        self._begun = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """After the optimizer's step."""
        self._ended = time.monotonic()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Whenever the trainer logs: every step, and a summary without a loss at the end."""
        metrics = dict(logs or {})
        if "loss" in metrics:
            metrics |= self._measured(metrics)
            state.log_history[-1] |= metrics
            metrics |= self._start()
        self._inputs.log(numbers(metrics), state.global_step)
        if "loss" in metrics:
            if processes.rank() == 0:
                metrics_file.append(self._inputs.output, state.global_step, numbers(metrics))
            self._inputs.progress(state.global_step, state.max_steps, self._line(metrics, state))

    def _start(self) -> dict[str, float]:
        """Where the time up to the first step went; empty afterwards."""
        start, self._trainer.start_times = self._trainer.start_times, None
        if start is None:
            return {}
        start.ended("first_step")
        if processes.rank() == 0:
            print(f"  {start.in_words()}", file=sys.stderr, flush=True)
        return start.metrics()

    def _measured(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """Time, speed and memory of the step; all ranks."""
        seconds = max(self._ended - self._since, 1e-9)
        shares = {part: sum(metrics.get(f"seconds/{name}", 0.0) for name in names) / seconds for part, names in PARTS.items()}
        shares = {part: share for part, share in shares.items() if share}
        shares["waiting"] = (self._begun - self._since) / seconds
        shares["update"] = max(0.0, 1 - sum(shares.values()))
        measured = {"seconds/step": seconds} | {f"time/{part}": share for part, share in sorted(shares.items())}
        if self._peak is not None and (flops := self._trainer.flops()):
            measured["mfu"] = flops / (processes.count() * self._peak * seconds * max(shares["update"], 1e-9))
        tokens = float(metrics.get("num_tokens", self._tokens))
        measured["tokens_per_s"] = (tokens - self._tokens) / seconds
        self._tokens, self._since = tokens, time.monotonic()
        self._logged.append(self._since)
        return measured | self._on_gpus(seconds)

    def _on_gpus(self, seconds: float) -> dict[str, float]:
        """GPU-hours of all steps so far; the peak memory of tensors on the fullest GPU, in GiB: since the start, in this step."""
        if not torch.cuda.is_available():
            return {}
        peak = torch.cuda.max_memory_allocated() / 2**30
        torch.cuda.reset_peak_memory_stats()
        (peak,) = processes.combined([peak], self._trainer.args.device, "max")
        self._memory = max(self._memory, peak)
        self._gpu_hours += processes.count() * seconds / 3600
        return {"gpu_hours": self._gpu_hours, "gpu_memory_gib": self._memory, "gpu_memory_step_gib": peak}

    def _line(self, metrics: Mapping[str, Any], state: TrainerState) -> str:
        """What a step was like, in words, and how long the rest takes at the mean pace of the last steps."""
        shown = [f"loss {metrics['loss']:.4g}"]
        if isinstance(reward := metrics.get("reward"), float):
            shown.insert(0, f"reward {reward:.3f}")
        shown.append(f"lr {metrics['learning_rate']:.2g}")
        shown.append(f"{metrics['tokens_per_s']:,.0f} tokens/s")
        if "mfu" in metrics:
            shown.append(f"MFU {metrics['mfu']:.0%}")
        pace = (self._logged[-1] - self._logged[0]) / (len(self._logged) - 1)
        if left := state.max_steps - state.global_step:
            shown.append(f"{duration(left * pace)} left")
        return " · ".join(["steps", *shown])


def attach(trainer: MeasuredMixin, inputs: StageInputs) -> None:
    """Report the trainer's progress to the stage instead of printing its raw logs."""
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(ReportProgress(trainer, inputs))


def numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """The numeric entries, with ``train/`` before their names."""
    return {f"train/{name}": float(value) for name, value in logs.items() if isinstance(value, int | float)}


def machine_arguments() -> dict[str, Any]:
    """Trainer arguments about the machine, not the result: devices, ZeRO, no second tracker, no progress bars in logs."""
    gpu = torch.cuda.is_available()
    return {
        "use_cpu": not gpu, "bf16": autocast.is_bf16(), "report_to": "none", "disable_tqdm": True,
        "dataloader_pin_memory": gpu, **recompute_arguments(), **zero.arguments(),
    }  # fmt: skip


def final_numbers(trainer: Trainer) -> dict[str, float]:
    """The metrics of the last logged step, for the manifest."""
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    return numbers(history[-1]) if history else {}
