"""Two or three writers on one output, paused and killed at random points: the published rows are those of an undisturbed run.

``python -m tests.chaos.writers --trials 60 --seed 0 [--root s3://BUCKET/PREFIX]``, or ``make chaos TRIALS=60 SEED=0`` for files
and an S3 server of its own.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from stillhouse import testing
from stillhouse.artifacts import claiming, integrity, store, tables
from stillhouse.artifacts import manifest as manifests
from stillhouse.errors import StillhouseError
from stillhouse.vocabulary.rows import Question

ROWS = 12
LEASE_S = 1.0
SHAPES = ("same", "other", "three", "paused", "killed", "paused-other", "all")
WRITER = """
import sys, time
from stillhouse.artifacts import tables
from stillhouse.errors import StillhouseError
from stillhouse.execution.execute import execute
from tests.unit import toy_stage

written = tables.write_part
def slowly(*arguments):
    time.sleep(float(sys.argv[4]))
    written(*arguments)
tables.write_part = slowly
try:
    execute(toy_stage, toy_stage.Config(text=sys.argv[3]), {"questions": sys.argv[1]}, sys.argv[2])
except StillhouseError as error:
    print(type(error).__name__, error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


@dataclass
class Tally:
    """What the trials came to."""

    trials: int = 0
    faults: int = 0
    lost: int = 0
    doubled: int = 0
    damaged: int = 0
    strays: int = 0
    leftovers: int = 0
    """Parts of a writer that was killed between its last upload and the look at the winner: room, no harm."""
    unpublished: int = 0
    touched: int = 0
    codes: Counter[int] = field(default_factory=Counter)

    @property
    def harmed(self) -> int:
        """Everything that must not happen."""
        return self.lost + self.doubled + self.damaged + self.strays + self.unpublished + self.touched


def writer(questions: str, output: str, text: str, pause_s: float) -> subprocess.Popen[bytes]:
    """A process that makes the toy artifact, part by part."""
    env = os.environ | {"STILLHOUSE_LEASE_S": str(LEASE_S)}
    arguments = [sys.executable, "-c", WRITER, questions, output, text, str(pause_s)]
    return subprocess.Popen(arguments, env=env, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2])


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


def trial(root: str, questions: str, number: int, shape: str, draw: random.Random, tally: Tally) -> None:
    """One trial; a last undisturbed writer makes up for killed ones."""
    output = f"{root}/toy_stage/chaos/{number}"
    count = 3 if shape in {"three", "all"} else 2
    writers = []
    for place in range(count):
        text = "y" if place and shape in {"other", "paused-other"} else "x"
        writers.append(writer(questions, output, text, draw.uniform(0.02, 0.15)))
        time.sleep(draw.uniform(0.0, 0.6))
    if shape not in {"same", "other", "three"}:
        await_claim(output, writers)
    tally.faults += count - 1 + disturb(writers, shape, draw)
    codes = [process.wait(120) for process in writers]
    tally.codes.update(codes)
    if not any(code == 0 for code in codes):
        tally.codes.update([writer(questions, output, "x", 0).wait(120)])
    check(output, tally, killed=-signal.SIGKILL in codes)
    tally.trials += 1


def check(output: str, tally: Tally, *, killed: bool) -> None:
    """Count what is not as after an undisturbed run."""
    with tempfile.TemporaryDirectory() as scratch:
        manifest = manifests.find(output)
        if manifest is None:
            tally.unpublished += 1
            return
        try:
            keys = [row.question_id for row in tables.read(integrity.fetch(output, Path(scratch)), Question)]
        except StillhouseError as error:
            print(f"{output}: {error}")
            tally.damaged += 1
            return
    tally.lost += ROWS - len(set(keys))
    tally.doubled += len(keys) - len(set(keys))
    strays = set(store.store_of(output).names(output)) - {*manifest.stored.values(), manifests.MANIFEST}
    if strays:
        print(f"{output}: strays {sorted(strays)}")
    if killed:
        tally.leftovers += len(strays)
    else:
        tally.strays += len(strays)


def run(root: str, trials: int, seed: int, shapes: tuple[str, ...] = SHAPES) -> Tally:
    """All trials, one after the other, with a file of somebody else beside the outputs."""
    questions = f"{root}/questions/chaos/{seed}"
    testing.publish(testing.questions(ROWS), Question, questions)
    foreign = f"{root}/toy_stage/chaos/thesis.tex"
    store.store_of(root).write(foreign, b"thesis")
    tally, draw = Tally(), random.Random(seed)
    for number in range(trials):
        trial(root, questions, seed * 1000 + number, shapes[number % len(shapes)], draw, tally)
    tally.touched += store.store_of(root).read(foreign) != b"thesis"
    return tally


def main() -> None:
    """Run the trials and print their table; exit code 1 if anything was lost, doubled, damaged or touched."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        root = options.root or Path(directory).as_uri()
        tally = run(root, options.trials, options.seed)
    codes = ", ".join(f"{code}: {count}" for code, count in sorted(tally.codes.items()))
    print(f"root {root.partition('://')[0]}  trials {tally.trials}  faults survived {tally.faults}  exit codes {codes}")
    print(f"rows lost {tally.lost}  doubled {tally.doubled}  files damaged {tally.damaged}  strays {tally.strays}")
    print(f"not published {tally.unpublished}  files of others touched {tally.touched}  left by killed losers {tally.leftovers}")
    sys.exit(1 if tally.harmed else 0)


if __name__ == "__main__":
    main()
