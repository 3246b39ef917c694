"""A trainer's checkpoints: published as they are written, the oldest pruned, found again by the next try of the same fingerprint.

A checkpoint is the trainer's own directory (weights, optimizer, schedule, random states), published below ``resume/``. The list of
its files comes last: a checkpoint without that list, or with a file shorter than the list says, is incomplete and is not used. If
there are several ranks, all publish what they wrote at the same time, and rank 0 publishes the list. When the stage ends well,
``resume/`` is removed from the output.
"""

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from stillhouse.errors import BadConfig, MissingInput, Preempted, StoreFailed
from stillhouse.execution import exits, processes
from stillhouse.execution.contract import StageInputs
from stillhouse.training import metrics_file
from stillhouse.training.machine import zero
from stillhouse.vocabulary import environment

DIRECTORY = "resume"
WHOLE = "whole.json"
"""Written last into a checkpoint: its files with their sizes, how it is partitioned, and what the stage wants to remember."""
SAVE_STEPS = 100
LEAST_ROOM = 1_000_000
"""With less bytes free, an error while a checkpoint is written comes from the full disk, whatever it says."""
_NAME = re.compile(r"checkpoint-(\d+)")


def arguments(inputs: StageInputs) -> dict[str, Any]:
    """Trainer arguments: a checkpoint every ``STILLHOUSE_SAVE_STEPS`` steps (default 100)."""
    steps = environment.whole("STILLHOUSE_SAVE_STEPS", SAVE_STEPS)
    return {"output_dir": str(inputs.output / DIRECTORY), "save_strategy": "steps", "save_steps": steps, "save_total_limit": 1}


def newest(inputs: StageInputs) -> tuple[Path, dict[str, Any]] | None:
    """The newest complete checkpoint of an earlier try and what was remembered with it; None if there is none.

    Raises BadConfig if that checkpoint is partitioned differently from this try, since DeepSpeed cannot load it; an unpartitioned
    one resumes over any number of processes. Raises MissingInput if ``inputs.resume`` insists on a checkpoint and there is none.
    """
    root = inputs.finished / DIRECTORY if inputs.finished else None
    for path in sorted(root.glob("checkpoint-*") if root else (), key=_step, reverse=True):
        listing = _listing(path)
        incomplete = _first_incomplete(path, listing)
        if listing and not incomplete:
            _require_same_partition(path, listing["cut"])
            return path, listing["remembered"]
        if processes.rank() == 0:
            print(f"  {path.name} of an earlier try is incomplete ({incomplete}) and is not used", file=sys.stderr, flush=True)
    if inputs.resume:
        msg = "--resume: there is no complete checkpoint of an earlier try; leave it out to start from the first step"
        raise MissingInput(msg)
    return None


def _listing(path: Path) -> dict[str, Any] | None:
    """The list of a checkpoint's files; None if it was not written."""
    file = path / WHOLE
    listing: dict[str, Any] | None = json.loads(file.read_bytes()) if file.is_file() else None
    return listing


def _first_incomplete(path: Path, listing: dict[str, Any] | None) -> str | None:
    """The first file of a checkpoint that is missing or not as long as the list says."""
    if listing is None:
        return WHOLE
    sizes: dict[str, int] = listing["files"]
    return next((name for name, size in sizes.items() if not _has_size(path / name, size)), None)


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _partition() -> dict[str, int]:
    """How this try partitions its checkpoints: a later try must do the same to load them."""
    return {"zero": zero.stage(), "processes": processes.count() if zero.stage() else 1}


def _require_same_partition(path: Path, partition: dict[str, int]) -> None:
    if partition != _partition():
        before, now = (f"ZeRO {cut['zero']} over {cut['processes']} processes" for cut in (partition, _partition()))
        msg = f"{path.name} of an earlier try was made by {before}, this one has {now}; run it as before, or under another --output"
        raise BadConfig(msg)


def _step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


class FullDiskMixin(Trainer):
    """A trainer that says so, in one line, when its checkpoint does not fit the scratch directory, and gives its room back."""

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Raises StoreFailed if the disk is full: libraries report that in many ways."""
        try:
            super()._save_checkpoint(*args, **kwargs)
        except Exception as error:
            root = Path(self.args.output_dir)
            free = shutil.disk_usage(root).free
            if not exits.is_full(error) and free > LEAST_ROOM:
                raise
            others = [path for path in root.glob("checkpoint-*") if _step(path) != self.state.global_step]
            held = sum(file.stat().st_size for path in others for file in path.rglob("*") if file.is_file())
            shutil.rmtree(root / f"checkpoint-{self.state.global_step}", ignore_errors=True)
            msg = (
                f"scratch directory {root.parents[1]} is full: checkpoint {self.state.global_step} did not fit into {free:,} bytes "
                f"beside {held:,} bytes of the one before; set STILLHOUSE_SCRATCH to a disk with room for two checkpoints"
            )
            raise StoreFailed(msg) from error


class PublishCheckpoints(TrainerCallback):
    """Publishes every checkpoint the trainer writes; has the trainer save and stop once ``stopping`` returns True."""

    def __init__(
        self,
        inputs: StageInputs,
        remember: Callable[[], dict[str, Any]],
        stopping: Callable[[torch.device], bool],
        best: Callable[[], Path | None] = lambda: None,
    ) -> None:
        """``remember`` returns what the stage keeps with each checkpoint. ``stopping`` is called after every step, on all ranks.

        ``best``: the file of rank 0 with the best weights so far, which a checkpoint needs too.
        """
        self._inputs, self._remember, self._stopping, self._best = inputs, remember, stopping, best
        self._published = _earlier_files(inputs)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """After every optimizer step."""
        if self._stopping(args.device):
            control.should_save |= not control.should_training_stop
            control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """After the trainer wrote a checkpoint; all ranks."""
        path = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if processes.rank() == 0:
            metrics_file.copy(self._inputs.output, path)
        files = self._publish(path)
        if processes.rank() == 0:
            for old in set(self._published) - set(files):
                self._inputs.retract_part(old)
        else:
            _remove_older(path)  # the trainer rotates on rank 0
        self._published = files

    def _publish(self, path: Path) -> list[Path]:
        """Publish a checkpoint's files, then their list. Returns the list and the files of all ranks, the list first.

        If the store fails, the files that were published are taken back: their room is the next try's.
        """
        files = [file for file in sorted(path.rglob("*")) if file.is_file()]
        best = self._best() if processes.rank() == 0 else None
        kept = [] if best is None else [self._inputs.output / DIRECTORY / best.parent.name / best.name]
        new = [*files, *(file for file in kept if file not in self._published)]
        for number, file in enumerate(new):
            try:
                self._inputs.publish_part(file)
            except StoreFailed:
                with suppress(StoreFailed):  # a store that is gone keeps them; the next try removes what it does not use
                    for published in new[:number]:
                        self._inputs.retract_part(published)
                raise
        own = {os.path.relpath(file, path): file.stat().st_size for file in files}
        own |= {os.path.relpath(file, path): best.stat().st_size for file in kept if best is not None}
        sizes = {name: size for rank_sizes in processes.gathered(own) for name, size in rank_sizes.items()}
        listing = path / WHOLE
        if processes.rank() == 0:
            text = json.dumps({"files": sizes, "cut": _partition(), "remembered": self._remember()})
            listing.write_text(text, encoding="utf-8")
            self._inputs.publish_part(listing)
        return [listing, *(Path(os.path.normpath(path / name)) for name in sizes)]


def _earlier_files(inputs: StageInputs) -> list[Path]:
    """The files of an earlier try's checkpoints, as paths below this try's output."""
    paths = (inputs.finished / DIRECTORY).rglob("*") if inputs.finished else ()
    return [inputs.output / path.relative_to(str(inputs.finished)) for path in paths if path.is_file()]


def _remove_older(newest: Path) -> None:
    """Remove this rank's older checkpoints."""
    for path in newest.parent.iterdir():
        if path != newest:
            shutil.rmtree(path)


def clear(inputs: StageInputs) -> None:
    """Remove the checkpoints of a training that ended: its weights are the result."""
    shutil.rmtree(inputs.output / DIRECTORY, ignore_errors=True)


@contextmanager
def preemption() -> Iterator[Callable[[torch.device], bool]]:
    """Defer SIGTERM while the block runs: the yielded function, called by all ranks, says whether any of them received it.

    The block saves and leaves; then Preempted is raised, as SIGTERM does elsewhere.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    def stopping(device: torch.device) -> bool:
        if processes.any_of(bool(received), device) and not received:
            received.append(signal.SIGTERM)
        return bool(received)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield stopping
    finally:
        if signal.getsignal(signal.SIGTERM) is note:
            signal.signal(signal.SIGTERM, before)
    if received:
        raise Preempted
