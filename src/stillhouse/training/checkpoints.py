"""A trainer's checkpoints: published as they are made, the oldest pruned, found again by the next try of the same fingerprint.

A checkpoint is the trainer's own directory (weights, optimizer, schedule, random states), published below ``resume/`` with a list
of its files last: a checkpoint without that list, or with a file shorter than it says, was not whole and is not used. Each of
several ranks publishes what it wrote, all at once, and rank 0 the list. When the stage ends well, ``resume/`` is gone from the
output.
"""

import json
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from stillhouse.errors import BadConfig, MissingInput, Preempted
from stillhouse.execution import environment, processes
from stillhouse.training.machine import zero

if TYPE_CHECKING:
    from stillhouse.execution.contract import StageInputs

DIRECTORY = "resume"
WHOLE = "whole.json"
"""Written last into a checkpoint: its files with their sizes, how it is cut, and what the stage wants to remember."""
SAVE_STEPS = 100
_NAME = re.compile(r"checkpoint-(\d+)")


def arguments(inputs: "StageInputs") -> dict[str, Any]:
    """Trainer arguments: a checkpoint every ``STILLHOUSE_SAVE_STEPS`` steps (default 100)."""
    steps = environment.whole("STILLHOUSE_SAVE_STEPS", SAVE_STEPS)
    return {"output_dir": str(inputs.output / DIRECTORY), "save_strategy": "steps", "save_steps": steps, "save_total_limit": 1}


def newest(inputs: "StageInputs") -> tuple[Path, dict[str, Any]] | None:
    """The newest whole checkpoint of an earlier try and what was remembered with it, None where there is none.

    Raises BadConfig for one that is cut in another way than this try: DeepSpeed cannot load it. One that is not cut goes on over
    any number of processes. Raises MissingInput where ``inputs.resume`` asks for one and there is none.
    """
    root = inputs.finished / DIRECTORY if inputs.finished else None
    for path in sorted(root.glob("checkpoint-*") if root else (), key=_step, reverse=True):
        said = _list(path)
        lacking = _lacking(path, said)
        if said and not lacking:
            _require_cut(path, said["cut"])
            return path, said["remembered"]
        if processes.rank() == 0:
            print(f"  {path.name} of an earlier try is not whole, {lacking} is not: it is not used", file=sys.stderr, flush=True)
    if inputs.resume:
        msg = "--resume: no whole checkpoint of an earlier try is there; leave it out to start from the first step"
        raise MissingInput(msg)
    return None


def _list(path: Path) -> dict[str, Any] | None:
    """What the list of a checkpoint's files says, None where it is not there."""
    listed = path / WHOLE
    found: dict[str, Any] | None = json.loads(listed.read_bytes()) if listed.is_file() else None
    return found


def _lacking(path: Path, said: dict[str, Any] | None) -> str | None:
    """The first file of a checkpoint that is not there, or not as long as its list says."""
    if said is None:
        return WHOLE
    sizes: dict[str, int] = said["files"]
    return next((name for name, size in sizes.items() if not _is_whole(path / name, size)), None)


def _is_whole(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _cut() -> dict[str, int]:
    """What decides whether a later try can load this one's checkpoints."""
    return {"zero": zero.stage(), "processes": processes.count() if zero.stage() else 1}


def _require_cut(path: Path, cut: dict[str, int]) -> None:
    if cut != _cut():
        before, now = (f"ZeRO {each['zero']} over {each['processes']} processes" for each in (cut, _cut()))
        msg = f"{path.name} of an earlier try was made by {before}, this one has {now}; run it as before, or under another --output"
        raise BadConfig(msg)


def _step(path: Path) -> int:
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else -1


def callback(inputs: "StageInputs", remember: Callable[[], dict[str, Any]], stopping: Callable[[Any], bool]) -> Any:
    """A ``TrainerCallback`` that publishes every checkpoint, and has the trainer save and stop where ``stopping`` says so."""
    from transformers import TrainerCallback

    class Publisher(TrainerCallback):  # type: ignore[misc]
        """Publishes checkpoints."""

        def __init__(self) -> None:
            self._published = _left_over(inputs)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            """After every optimizer step."""
            if stopping(args.device):
                control.should_save = control.should_training_stop = True

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            """After the trainer wrote a checkpoint: all ranks."""
            path = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            made = _publish(inputs, path, remember())
            if processes.rank() == 0:
                for old in set(self._published) - set(made):
                    inputs.retract_part(old)
            else:
                _remove_but(path)  # the trainer rotates on rank 0
            self._published = made

    return Publisher()


def _left_over(inputs: "StageInputs") -> list[Path]:
    """The files of an earlier try's checkpoints, by the paths they have below this try's output."""
    found = (inputs.finished / DIRECTORY).rglob("*") if inputs.finished else ()
    return [inputs.output / path.relative_to(str(inputs.finished)) for path in found if path.is_file()]


def _publish(inputs: "StageInputs", path: Path, remembered: dict[str, Any]) -> list[Path]:
    """Publish a checkpoint's files, their list last. Returns them all, those of other ranks too, the list first."""
    own = [each for each in sorted(path.rglob("*")) if each.is_file()]
    for each in own:
        inputs.publish_part(each)
    every = processes.gathered({each.relative_to(path).as_posix(): each.stat().st_size for each in own})
    sizes = {name: size for found in every for name, size in found.items()}
    listed = path / WHOLE
    if processes.rank() == 0:
        listed.write_text(json.dumps({"files": sizes, "cut": _cut(), "remembered": remembered}), encoding="utf-8")
        inputs.publish_part(listed)
    return [listed, *(path / name for name in sizes)]


def _remove_but(newest: Path) -> None:
    """Remove a rank's older checkpoints."""
    for each in newest.parent.iterdir():
        if each != newest:
            shutil.rmtree(each)


def clear(inputs: "StageInputs") -> None:
    """Remove the checkpoints of a training that ended: its weights are the result."""
    shutil.rmtree(inputs.output / DIRECTORY, ignore_errors=True)


@contextmanager
def preemption() -> Iterator[Callable[[Any], bool]]:
    """SIGTERM asks instead of interrupting while the block runs: the yielded function says whether it came, on any rank.

    The block saves and leaves; then Preempted is raised, as SIGTERM does elsewhere.
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    def asked(device: Any) -> bool:
        if processes.any_of(bool(came), device) and not came:
            came.append(signal.SIGTERM)
        return bool(came)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield asked
    finally:
        if signal.getsignal(signal.SIGTERM) is note:
            signal.signal(signal.SIGTERM, before)
    if came:
        raise Preempted
