"""How long saves take, and so how much time a preemption needs."""

import sys
import time

from stillhouse.execution import processes
from stillhouse.execution.contract import StageInputs
from stillhouse.training.checkpoint_upload import CheckpointUpload
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.text import duration

GRACE_S = 120
"""Seconds from SIGTERM to SIGKILL of a pod, unless ``STILLHOUSE_GRACE_S`` says otherwise."""


class SavePace:
    """Measures steps and saves; after the first save, rank 0 says once what a preemption needs."""

    def __init__(self) -> None:
        """Nothing has been saved yet."""
        self._step_at: float | None = None
        self._step_s = self._begun = self._write_s = 0.0
        self._bytes = 0
        self._is_said = False

    def step(self) -> None:
        """After a step."""
        now = time.monotonic()
        if self._step_at is not None:
            self._step_s = max(self._step_s, now - self._step_at)
        self._step_at = now

    def tell(self, upload: CheckpointUpload | None, inputs: StageInputs, step: int) -> None:
        """Log and print what a preemption needs, once an upload has ended."""
        if self._is_said or upload is None or upload.seconds is None or upload.error or processes.rank():
            return
        self._is_said = True
        metrics = {"checkpoint_bytes": self._bytes, "grace_s": grace_s(self._step_s, self._write_s, upload.seconds)}
        inputs.log({f"train/{name}": value for name, value in metrics.items()}, step)
        print(f"  {in_words(self._bytes, self._step_s, self._write_s, upload.seconds)}", file=sys.stderr, flush=True)

    def writing(self) -> None:
        """The trainer begins to write a checkpoint."""
        self._begun = time.monotonic()

    def written(self, n_bytes: int) -> None:
        """It has written it: so many bytes on all ranks together."""
        self._write_s, self._bytes = time.monotonic() - self._begun, n_bytes
        self._step_at = None  # what comes until the next step's end is more than a step


def grace_s(step_s: float, write_s: float, upload_s: float) -> float:
    """Seconds from SIGTERM to the end, with a tenth to spare.

    The step in flight ends, an upload that is under way too, and one more checkpoint is written and uploaded.
    """
    return 1.1 * (step_s + write_s + 2 * upload_s)


def in_words(n_bytes: int, step_s: float, write_s: float, upload_s: float) -> str:
    """What a preemption needs and what it has; a warning if that is too little."""
    needed, given = grace_s(step_s, write_s, upload_s), environment.whole("STILLHOUSE_GRACE_S", GRACE_S)
    parts = f"{duration(step_s)} a step, {duration(write_s)} to write {n_bytes / 1e9:,.2f} GB, {duration(upload_s)} to upload them"
    said = f"a preemption needs up to {duration(needed)} ({parts}, twice if others are under way), and has {given} s"
    if needed <= given:
        return said
    return f"warning: {said}: raise STILLHOUSE_GRACE_S, or it costs the steps since the last checkpoint"
