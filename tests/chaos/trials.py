"""What a chaos trial runs and what it looks for: a slow writer of the toy artifact, and the rows of an undisturbed run."""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stillhouse import testing
from stillhouse.artifacts import integrity, store, tables
from stillhouse.artifacts import manifest as manifests
from stillhouse.errors import StillhouseError
from stillhouse.vocabulary.rows import Question

ROWS = 12
LEASE_S = 1.0
FOREIGN = b"thesis"
WRITER = """
import sys, time
from stillhouse.artifacts import tables
from stillhouse.errors import StillhouseError
from stillhouse.execution.execute import execute
from tests.unit import toy_stage

write_part = tables.write_part
def slowly(*arguments):
    time.sleep(float(sys.argv[4]))
    write_part(*arguments)
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


def writer(
    questions: str, output: str, text: str, pause_s: float, more: Mapping[str, str] | None = None, log: Path | None = None,
    enter: Sequence[str] = (),
) -> subprocess.Popen[bytes]:  # fmt: skip
    """A process that makes the toy artifact, a pause before each part. Its messages go to ``log``; ``enter`` begins its command."""
    env = {**os.environ, "STILLHOUSE_LEASE_S": str(LEASE_S), **(more or {})}
    arguments = [*enter, sys.executable, "-c", WRITER, questions, output, text, str(pause_s)]
    with open(log or os.devnull, "ab") as errors:  # noqa: PTH123 - devnull
        return subprocess.Popen(arguments, env=env, stderr=errors, cwd=Path(__file__).parents[2])


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


@dataclass(frozen=True)
class Stage:
    """Where the trials of one kind happen: the questions, and a file of somebody else beside the outputs."""

    root: str
    questions: str
    foreign: str

    def output(self, number: int) -> str:
        """The output of a trial."""
        return f"{self.root}/toy_stage/chaos/{number}"

    def touched(self) -> int:
        """How many files of others are not as they were."""
        return int(store.store_of(self.root).read(self.foreign) != FOREIGN)


def prepared(root: str, seed: int) -> Stage:
    """Publish the questions and put somebody's file there."""
    stage = Stage(root, f"{root}/questions/chaos/{seed}", f"{root}/toy_stage/chaos/thesis.tex")
    testing.publish(testing.questions(ROWS), Question, stage.questions)
    store.store_of(root).write(stage.foreign, FOREIGN)
    return stage
