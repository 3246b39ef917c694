"""A trainer's progress and numbers -> the stage's."""

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stillhouse.stage import StageInputs


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


def numbers(logs: dict[str, Any]) -> dict[str, float]:
    """The numeric entries, under ``train/``."""
    return {f"train/{name}": float(value) for name, value in logs.items() if isinstance(value, int | float)}


def machine_arguments() -> dict[str, Any]:
    """Trainer arguments that are about the machine, not the result: devices, sharding, no second tracker, no bars in logs."""
    import torch

    from stillhouse.training import sharding

    gpu = torch.cuda.is_available()
    return {
        "use_cpu": not gpu, "bf16": gpu and torch.cuda.is_bf16_supported(), "report_to": "none", "disable_tqdm": True,
        "dataloader_pin_memory": gpu, "gradient_checkpointing": gpu, **sharding.arguments(),
    }  # fmt: skip


def final_numbers(trainer: Any) -> dict[str, float]:
    """The numbers of the last logged step, for the manifest."""
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    return numbers(history[-1]) if history else {}
