"""questions -> questions: a stage for tests, that can be told to fail, to stop half-way or to let another writer go first."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stillhouse.artifacts import tables
from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.rows import Question
from stillhouse.vocabulary.settings import StageConfig

runs: list[StageInputs] = []
"""What every run was handed, for tests to look at."""
before_the_end: list[Callable[[], None]] = []
"""Called once each, when the rows are made and before they are published."""


class Config(StageConfig):
    text: str = "x"


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    questions: Path
    more: tuple[Path, ...] = ()
    maybe: Path | None = None
    previous: Path | None = None


def run(config: Config, inputs: Inputs) -> Outputs:
    """Pass the shard's questions on, a part to a question, each published as it is made."""
    runs.append(inputs)
    carried = sorted(tables.parts(inputs.finished)) if inputs.finished else []
    done = set()
    for path in carried:
        (inputs.output / path.name).write_bytes(path.read_bytes())
    if carried:
        done = {row.question_id for row in tables.read(inputs.output, Question)}
    mine = [row for row in tables.read(inputs.questions, Question) if inputs.shard.holds(row.question_id)]
    first = 1 + max((int(path.stem.removeprefix("part-")) for path in carried), default=-1)
    for number, row in enumerate(row for row in mine if row.question_id not in done):
        path = inputs.output / f"part-{first + number:05d}.parquet"
        tables.write_part(path, [row], Question)
        inputs.publish_part(path)
        if os.environ.get("KILL_AFTER") == str(number + 1):
            os.kill(os.getpid(), signal.SIGKILL)
    if not mine:
        tables.write(inputs.output, [], Question)
    tables.write(inputs.dropped, [rows.dropped(row, "toy") for row in mine[:1]], rows.Dropped)
    while before_the_end:
        before_the_end.pop()()
    return Outputs(metrics={"n_made": len(mine) - len(done), "share": 0.5}, dropped={"toy": len(mine[:1])})
