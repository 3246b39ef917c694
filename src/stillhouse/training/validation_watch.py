"""Measure while training: every so many steps and at the end; keep the best checkpoint, and stop when it gets no better.

A measurement changes nothing of the training: random states and the model's mode are put back. What was measured is part of every
checkpoint, so that a resumed training publishes the same weights as one that ran through.
"""

import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from stillhouse.execution import processes
from stillhouse.execution.contract import StageInputs
from stillhouse.training import best_weights, metrics_file
from stillhouse.training.checkpoint_files import DIRECTORY
from stillhouse.training.config import Validation

Measure = Callable[[], dict[str, float]]
"""Measures the model as it is: metrics by name, the one that counts among them; all ranks, the same on each."""

REMEMBERED = "validation"
"""Under this name a checkpoint keeps what was measured."""


class ValidationWatch(TrainerCallback):
    """Measures, remembers the best, and ends the training once its patience is over."""

    def __init__(self, settings: Validation, trainer: Trainer, inputs: StageInputs, measure: Measure) -> None:
        """``measure`` is called by all ranks between two steps."""
        self._settings, self._trainer, self._inputs, self._measure = settings, trainer, inputs, measure
        self._root = inputs.output / DIRECTORY
        self._history: list[tuple[int, float]] = []
        """Step and the measure that counts, of every measurement that gave one."""
        self._measured_at = 0
        self.best_file: Path | None = None
        """The weights of the best step, where rank 0 has them; None if none are kept."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """After every optimizer step: measure if it is due, and stop if there was no better one for too long."""
        if state.global_step % self._settings.every == 0 or state.global_step >= state.max_steps:
            self._measure_now(state.global_step)
            patience = self._settings.patience
            if patience is not None and self._n_without_better() >= patience:
                _say(f"no better {self._settings.by} in {patience} measurements: the training ends at step {state.global_step}")
                control.should_training_stop = True
                control.should_save = False  # a try that resumed here would go on training

    def finish(self) -> dict[str, float]:
        """After the last step: measure it if it was not, and go back to the best weights; the metrics of what is published."""
        step = self._trainer.state.global_step
        if self._measured_at != step:
            self._measure_now(step)
        if self._settings.keep == "best" and self._history and (best := self.best_step) != step:
            _say(f"publishing the weights of step {best}, the best by {self._settings.by}")
            assert self.best_file is not None
            best_weights.restore(self._trainer, self.best_file)
        values = dict(self._history)
        published = self.best_step if self._settings.keep == "best" and values else step
        metrics = {"validation/published_step": float(published)}
        if values:
            metrics["validation/best_step"] = float(self.best_step)
        if published in values:
            metrics[f"validation/{self._settings.by}"] = values[published]
        return metrics

    @property
    def best_step(self) -> int:
        """The last step with the best measure: where a small set tells nothing, the longer training counts."""
        return next(step for step, value in reversed(self._history) if value == self._best())

    def remember(self) -> dict[str, Any]:
        """What was measured so far, for a checkpoint."""
        return {REMEMBERED: {"history": self._history, "measured_at": self._measured_at, "kept": self.best_file is not None}}

    def recall(self, remembered: Mapping[str, Any], root: Path) -> None:
        """Go on from an earlier try's measurements. ``root``: the directory of its checkpoints."""
        before = remembered[REMEMBERED]
        self._history = [(int(step), float(value)) for step, value in before["history"]]
        self._measured_at = before["measured_at"]
        if before["kept"]:
            self.best_file = root / f"best-{self.best_step}" / best_weights.FILE

    def _measure_now(self, step: int) -> None:
        begin = time.monotonic()
        with untouched_random_states():
            metrics = self._measure()
        self._measured_at = step
        value = metrics.get(self._settings.by)
        if value is not None:
            self._history.append((step, value))
        is_best = value is not None and self.best_step == step
        if is_best and self._settings.keep == "best":
            self._keep(step)
        named = {f"validation/{name}": number for name, number in metrics.items()}
        named["validation/seconds"] = time.monotonic() - begin
        self._inputs.log(named, step)
        if processes.rank() == 0:
            metrics_file.append(self._inputs.output, step, named)
        _say(f"validation at step {step}: {_in_words(metrics)}{' (the best so far)' if is_best else ''}")

    def _keep(self, step: int) -> None:
        """Keep the weights, in place of those that were the best before."""
        path = self._root / f"best-{step}" / best_weights.FILE
        best_weights.save(self._trainer, path)
        if self.best_file is not None and self.best_file.is_relative_to(self._root):
            shutil.rmtree(self.best_file.parent, ignore_errors=True)
        self.best_file = path

    def _best(self) -> float:
        values = [value for _, value in self._history]
        return min(values) if self._settings.by == "loss" else max(values)

    def _n_without_better(self) -> int:
        """Measurements since the best one was reached first."""
        values = [value for _, value in self._history]
        return len(values) - 1 - values.index(self._best()) if values else 0


@contextmanager
def untouched_random_states() -> Iterator[None]:
    """While the block draws random numbers, the training's own wait: afterwards they go on where they were."""
    python, arrays, tensors = random.getstate(), np.random.get_state(), torch.get_rng_state()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)
        torch.set_rng_state(tensors)
        if devices:
            torch.cuda.set_rng_state_all(devices)


def _in_words(metrics: Mapping[str, float]) -> str:
    words = []
    if "pass_at_1" in metrics:
        words.append(f"pass@1 {metrics['pass_at_1']:.3f} ({metrics['low']:.3f} to {metrics['high']:.3f})")
    if "loss" in metrics:
        words.append(f"loss {metrics['loss']:.4g}")
    if unverified := metrics.get("n_unverified"):
        words.append(f"{unverified:.0f} responses could not be verified")
    return ", ".join(words) or "nothing could be measured"


def _say(line: str) -> None:
    if processes.rank() == 0:
        print(f"  {line}", file=sys.stderr, flush=True)
