"""A trainer's checkpoints: published as they are written, the oldest pruned, found again by the next try of the same fingerprint.

A checkpoint is the trainer's own directory (weights, optimizer, schedule, random states), published below ``resume/`` in the
background (``checkpoint_upload``). The list of its files comes last: a checkpoint without that list, or with a file shorter than
the list says, is incomplete and is not used. When the stage ends well, ``resume/`` is removed from the output.
"""

import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from stillhouse.errors import BadConfig, MissingInput, Preempted, RankLost, StoreFailed
from stillhouse.execution import exits, processes
from stillhouse.execution.contract import StageInputs
from stillhouse.training import checkpoint_files, metrics_file
from stillhouse.training.checkpoint_files import DIRECTORY, WHOLE
from stillhouse.training.checkpoint_upload import CheckpointUpload
from stillhouse.training.machine import fsdp, zero
from stillhouse.training.save_pace import SavePace
from stillhouse.vocabulary import environment

SAVE_STEPS, SAVE_MINUTES = 100, 30
"""Steps and minutes between checkpoints, whichever comes first."""
LEAST_ROOM = 1_000_000
"""With less bytes free, an error while a checkpoint is written comes from the full disk, whatever it says."""
_NAME = re.compile(r"checkpoint-(\d+)")


def arguments(inputs: StageInputs) -> dict[str, Any]:
    """Trainer arguments: a checkpoint every ``STILLHOUSE_SAVE_STEPS`` steps."""
    steps = environment.whole("STILLHOUSE_SAVE_STEPS", SAVE_STEPS)
    return {"output_dir": str(inputs.output / DIRECTORY), "save_strategy": "steps", "save_steps": steps, "save_total_limit": 1}


def newest(inputs: StageInputs) -> tuple[Path, dict[str, Any]] | None:
    """The newest complete checkpoint of an earlier try and what was remembered with it, None if there is none; all ranks.

    Raises BadConfig if that checkpoint is partitioned differently from this try, since DeepSpeed cannot load it; an unpartitioned
    one resumes over any number of processes. Raises MissingInput if ``inputs.resume`` insists on a checkpoint and there is none.
    """
    root = inputs.finished / DIRECTORY if inputs.finished else None
    for name in sorted(checkpoint_files.incomplete(inputs.left)):
        _say_incomplete(name, WHOLE)
    for path in sorted(root.glob("checkpoint-*") if root else (), key=_step, reverse=True):
        listing = _listing(path)
        incomplete = next(filter(None, processes.gathered(_first_incomplete(path, listing))), None)
        if listing and not incomplete:
            _require_same_partition(path, listing["cut"])
            return path, listing["remembered"]
        _say_incomplete(path.name, incomplete)
    if inputs.resume:
        msg = "--resume: there is no complete checkpoint of an earlier try; leave it out to start from the first step"
        raise MissingInput(msg)
    return None


def _say_incomplete(name: str, why: str | None) -> None:
    if processes.rank() == 0:
        print(f"  {name} of an earlier try is incomplete ({why}) and is not used", file=sys.stderr, flush=True)


def _listing(path: Path) -> dict[str, Any] | None:
    """The list of a checkpoint's files; None if it was not written."""
    file = path / WHOLE
    listing: dict[str, Any] | None = json.loads(file.read_bytes()) if file.is_file() else None
    return listing


def _first_incomplete(path: Path, listing: dict[str, Any] | None) -> str | None:
    """The first file of a checkpoint, of those that this node reads, that is missing or not as long as the list says."""
    if listing is None:
        return WHOLE
    sizes: dict[str, int] = listing["files"]
    partitioned = checkpoint_files.is_partitioned(sizes)
    read = {name: size for name, size in sizes.items() if checkpoint_files.is_read(name, partitioned=partitioned)}
    return next((name for name, size in read.items() if not _has_size(path / name, size)), None)


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _partition() -> dict[str, int]:
    """How this try partitions its checkpoints: a later try must do the same to load them."""
    if fsdp.is_chosen():
        return {"fsdp": 2, "processes": processes.count()}
    return {"zero": zero.stage(), "processes": processes.count() if zero.stage() else 1}


def _require_same_partition(path: Path, partition: dict[str, int]) -> None:
    if partition != _partition():
        before, now = (
            f"{'FSDP2' if 'fsdp' in cut else 'ZeRO ' + str(cut['zero'])} over {cut['processes']} processes"
            for cut in (partition, _partition())
        )  # fmt: skip
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


@dataclass
class Preemption:
    """Whether SIGTERM has asked to stop."""

    asked: bool = False


class PublishCheckpoints(TrainerCallback):
    """Publishes every checkpoint the trainer writes while the training goes on; has it save by the clock, and on SIGTERM.

    One checkpoint is under way at a time: the next one waits until the last has left.
    """

    def __init__(
        self,
        inputs: StageInputs,
        remember: Callable[[], dict[str, Any]],
        preempted: Preemption,
        best: Callable[[], Path | None] = lambda: None,
    ) -> None:
        """``remember`` returns what the stage keeps with each checkpoint.

        ``best``: the file of rank 0 with the best weights so far, which a checkpoint needs too.
        """
        self._inputs, self._remember, self._preempted, self._best = inputs, remember, preempted, best
        self._published = _earlier_files(inputs)
        self._upload: CheckpointUpload | None = None
        self._every_s = 60 * environment.number("STILLHOUSE_SAVE_MINUTES", SAVE_MINUTES)
        self._saved_at = time.monotonic()
        self._pace = SavePace()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Before the first step: the clock starts."""
        self._saved_at = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """After every optimizer step; all ranks decide the same. Raises what the upload of the last checkpoint raised."""
        is_due = processes.rank() == 0 and time.monotonic() - self._saved_at >= self._every_s
        failed = self._upload is not None and self._upload.error is not None
        stop, due, lost = processes.combined([float(flag) for flag in (self._preempted.asked, is_due, failed)], args.device, "max")
        if lost:
            self._raise_failure()
        if stop:
            self._preempted.asked = True
            control.should_save |= not control.should_training_stop
            control.should_training_stop = True
        control.should_save |= bool(due)
        self._pace.step()
        if control.should_save:
            self._wait(args.device)
        self._pace.tell(self._upload, self._inputs, state.global_step)
        if control.should_save:
            self._pace.writing()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """After the trainer wrote a checkpoint; all ranks."""
        path = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if processes.rank() == 0:
            metrics_file.copy(self._inputs.output, path)
        else:
            _remove_older(path)  # the trainer rotates on rank 0
        files = [file for file in sorted(path.rglob("*")) if file.is_file()]
        best = self._best() if processes.rank() == 0 else None
        kept = [] if best is None else [self._inputs.output / DIRECTORY / best.parent.name / best.name]
        own = {os.path.relpath(file, path): file.stat().st_size for file in files}
        own |= {os.path.relpath(file, path): best.stat().st_size for file in kept if best is not None}
        sizes = {name: size for rank_sizes in processes.gathered(own) for name, size in rank_sizes.items()}
        listing = path / WHOLE
        if processes.rank() == 0:
            text = json.dumps({"files": sizes, "cut": _partition(), "remembered": self._remember()})
            listing.write_text(text, encoding="utf-8")
        whole = [listing, *(Path(os.path.normpath(path / name)) for name in sizes)]
        new = [*files, *(file for file in kept if file not in self._published)]
        self._upload = CheckpointUpload(self._inputs, state.global_step, new, listing, sorted({*self._published} - {*whole}))
        self._upload.start()
        self._published, self._saved_at = whole, time.monotonic()
        self._pace.written(sum(sizes.values()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """After the training: a checkpoint under way is finished if a next try may need it, else given up."""
        if self._upload is None:
            return
        if self._preempted.asked and error is None:
            self._upload.finish()
        elif isinstance(error, Exception) and not isinstance(error, RankLost):
            with suppress(Exception):  # the error that ended the training is the one to tell
                self._upload.finish(processes.LEAVE_S)
        else:
            self._upload.cancel()

    def _wait(self, device: torch.device) -> None:
        """Wait until the last checkpoint has left, on all ranks."""
        if self._upload is not None:
            self._upload.join()
        (lost,) = processes.combined([float(self._upload is not None and self._upload.error is not None)], device, "max")
        if lost:
            self._raise_failure()

    def _raise_failure(self) -> NoReturn:
        if self._upload is not None and self._upload.error is not None:
            raise self._upload.error
        msg = "another rank could not upload its share of a checkpoint; look for the one that says why"
        raise RankLost(msg)


def _earlier_files(inputs: StageInputs) -> list[Path]:
    """The files of an earlier try's checkpoints, those that were not fetched too, as paths below this try's output."""
    paths = (inputs.finished / DIRECTORY).rglob("*") if inputs.finished else ()
    fetched = {path.relative_to(str(inputs.finished)).as_posix() for path in paths if path.is_file()}
    left = {name for name in inputs.left if name.startswith(f"{DIRECTORY}/")}
    return [inputs.output / name for name in sorted(fetched | left)]


def _remove_older(newest: Path) -> None:
    """Remove this rank's older checkpoints."""
    for path in newest.parent.iterdir():
        if path != newest:
            shutil.rmtree(path)


def clear(inputs: StageInputs) -> None:
    """Remove the checkpoints of a training that ended: its weights are the result."""
    shutil.rmtree(inputs.output / DIRECTORY, ignore_errors=True)


@contextmanager
def preemption() -> Iterator[Preemption]:
    """Defer SIGTERM while the block runs: what it yields says whether it came, and the block saves and leaves.

    Then Preempted is raised, as SIGTERM does elsewhere.
    """
    preempted = Preemption()

    def note(number: int, frame: FrameType | None) -> None:
        preempted.asked = True

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield preempted
    finally:
        if signal.getsignal(signal.SIGTERM) is note:
            signal.signal(signal.SIGTERM, before)
    if preempted.asked:
        raise Preempted
