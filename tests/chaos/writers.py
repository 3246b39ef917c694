"""Two or three writers on one output, paused and killed at random points: the published rows are those of an undisturbed run."""

import random
import signal
import subprocess
import time

from stillhouse.artifacts import claiming
from tests.chaos.trials import LEASE_S, Stage, Tally, check, prepared, writer

SHAPES = ("same", "other", "three", "paused", "killed", "paused-other", "all")


def await_claim(output: str, writers: list[subprocess.Popen[bytes]]) -> None:
    """Until one of them writes there: a process that is still starting cannot be disturbed."""
    while claiming.read(output)[0] is None and any(process.poll() is None for process in writers):
        time.sleep(0.02)


def disturb(writers: list[subprocess.Popen[bytes]], shape: str, draw: random.Random) -> int:
    """Pause or kill the writers as the shape says. Returns how many faults there were."""
    faults = 0
    if shape.startswith("paused") or shape == "all":
        time.sleep(draw.uniform(0.0, 1.2))
        writers[0].send_signal(signal.SIGSTOP)
        time.sleep(LEASE_S * draw.choice((0.5, 2.5, 4.0)))
        writers[0].send_signal(signal.SIGCONT)
        faults += 1
    if shape in {"killed", "all"}:
        time.sleep(draw.uniform(0.0, 1.0))
        draw.choice(writers).kill()
        faults += 1
    return faults


def trial(stage: Stage, number: int, shape: str, draw: random.Random, tally: Tally) -> None:
    """One trial; a last undisturbed writer makes up for killed ones."""
    output = stage.output(number)
    count = 3 if shape in {"three", "all"} else 2
    writers = []
    for place in range(count):
        text = f"y{number}" if place and shape in {"other", "paused-other"} else f"x{number}"
        writers.append(writer(stage.questions, output, text, draw.uniform(0.02, 0.15)))
        time.sleep(draw.uniform(0.0, 0.6))
    if shape not in {"same", "other", "three"}:
        await_claim(output, writers)
    tally.faults += count - 1 + disturb(writers, shape, draw)
    codes = [process.wait(120) for process in writers]
    tally.codes.update(codes)
    if not any(code == 0 for code in codes):
        tally.codes.update([writer(stage.questions, output, f"x{number}", 0).wait(120)])
    check(output, tally, killed=-signal.SIGKILL in codes)
    tally.trials += 1


def run(root: str, trials: int, seed: int, shapes: tuple[str, ...] = SHAPES) -> Tally:
    """All trials, one after the other."""
    stage = prepared(root, seed)
    tally, draw = Tally(), random.Random(seed)
    for number in range(trials):
        trial(stage, seed * 1000 + number, shapes[number % len(shapes)], draw, tally)
    tally.touched += stage.touched()
    return tally
