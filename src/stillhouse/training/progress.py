"""A trainer's progress and numbers -> the stage's."""

import time
from typing import TYPE_CHECKING, Any

from stillhouse.execution import environment, processes

if TYPE_CHECKING:
    from stillhouse.execution.contract import StageInputs


def callback(inputs: "StageInputs") -> Any:
    """A ``TrainerCallback`` that passes steps to ``inputs.progress`` and logged numbers to ``inputs.log``."""
    from transformers import TrainerCallback

    class Reporter(TrainerCallback):  # type: ignore[misc]
        """Passes on what the trainer says."""

        def __init__(self) -> None:
            self._tokens: float | None = None
            self._since = 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            """After every optimizer step."""
            inputs.progress(state.global_step, state.max_steps, "steps")

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            """Whenever the trainer logs."""
            given = dict(logs or {})
            if "num_tokens" in given:
                given |= self._rate(float(given["num_tokens"]))
            inputs.log(numbers(given), state.global_step)

        def _rate(self, tokens: float) -> dict[str, float]:
            """Tokens a second since the last time; nothing the first time, when an earlier try's tokens are among them."""
            now, before, since = time.monotonic(), self._tokens, self._since
            self._tokens, self._since = tokens, now
            return {} if before is None else {"tokens_per_s": (tokens - before) / max(now - since, 1e-9)}

    return Reporter()


def attach(trainer: Any, inputs: "StageInputs") -> Any:
    """Report the trainer's progress to the stage instead of printing its raw logs. Returns the trainer."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(callback(inputs))
    return trainer


def measured(trainer_class: Any) -> Any:
    """The trainer class, with what it does not log itself: the share of padding in its batches, and the memory of its GPU."""

    class Measured(trainer_class):  # type: ignore[misc]
        """Counts padding as batches go by."""

        _padded, _numbers = 0, 0

        def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
            """One forward and backward pass."""
            if isinstance(inputs, dict):
                self._numbers += inputs["input_ids"].numel()
                self._padded += int((inputs["attention_mask"] == 0).sum()) if "attention_mask" in inputs else 0
            return super().training_step(model, inputs, num_items_in_batch)

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            """Once a step, all ranks: padding is that of the whole batch."""
            if self._numbers:
                padded, places = processes.combined([self._padded, self._numbers], self.args.device, "sum")
                logs["padding_share"] = padded / places
                self._padded = self._numbers = 0
            super().log(logs | _gpu_memory(), start_time)

    Measured.__name__ = trainer_class.__name__
    return Measured


def _gpu_memory() -> dict[str, float]:
    """The most that tensors held on this process's GPU since the last time, in GiB; its utilisation comes from MLflow's monitor."""
    import torch

    if not torch.cuda.is_available():
        return {}
    most = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.reset_peak_memory_stats()
    return {"gpu_memory_gib": most}


def numbers(logs: dict[str, Any]) -> dict[str, float]:
    """The numeric entries, under ``train/``."""
    return {f"train/{name}": float(value) for name, value in logs.items() if isinstance(value, int | float)}


def machine_arguments() -> dict[str, Any]:
    """Trainer arguments that are about the machine, not the result: devices, sharding, no second tracker, no bars in logs."""
    import torch

    from stillhouse.training.machine import zero

    gpu = torch.cuda.is_available()
    return {
        "use_cpu": not gpu, "bf16": gpu and torch.cuda.is_bf16_supported(), "report_to": "none", "disable_tqdm": True,
        "dataloader_pin_memory": gpu, **zero.arguments(),
        "gradient_checkpointing": environment.switch("STILLHOUSE_GRADIENT_CHECKPOINTING", default=gpu),
    }  # fmt: skip


def final_numbers(trainer: Any) -> dict[str, float]:
    """The numbers of the last logged step, for the manifest."""
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    return numbers(history[-1]) if history else {}
