"""Responses on their way to disk: parts published as they fill, and rows of earlier runs taken over instead of asked again."""

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from stillhouse.artifacts import tables
from stillhouse.execution.contract import StageInputs
from stillhouse.sampling.engine import Request
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.rows import Dropped, Keyed, Response, ResponseKey

PART_RESPONSES = 2048
"""Responses to a published part: what a killed run loses at most."""
PART_S = 300
"""Seconds after which a part is published as it is: long responses fill one slowly."""


@dataclass(frozen=True, slots=True)
class Asked(Keyed):
    """What tells whether an earlier response would be given again: its key, and the settings and the prompt behind both ids."""

    seed: int
    sampling_id: str
    finish_reason: str


class Earlier:
    """The responses of an artifact, by key, without their texts."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        found = tables.read(directory, Asked) if directory else ()
        self._asked = {rows.response_key(row): (row.seed, row.sampling_id) for row in found if row.finish_reason != "error"}

    def keys(self) -> set[ResponseKey]:
        """All of them."""
        return set(self._asked)

    def has(self, request: Request, sampling_id: str) -> bool:
        """Whether the same was asked before, and answered."""
        return self._asked.get(request.key) == (request.seed, sampling_id)

    def read(self, keys: set[ResponseKey]) -> Iterator[Response]:
        """The rows of these keys."""
        if keys and self._directory:
            yield from (row for row in tables.read(self._directory, Response) if rows.response_key(row) in keys)


class Parts:
    """What the stage has made so far; a context manager that publishes the last part, however the block ends.

    Begins with the parts that an earlier try finished, under their names: ``done`` are the keys that need not be asked for.
    """

    def __init__(self, inputs: StageInputs) -> None:
        self._inputs = inputs
        self.drops: list[Dropped] = []
        self.failures: Counter[str] = Counter()
        self._made: list[Response] = []
        self._begun = time.monotonic()
        carried = sorted(inputs.finished.glob("part-*.parquet")) if inputs.finished else []
        for path in carried:
            inputs.output.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, inputs.output / path.name)
        self.finished = Earlier(inputs.output if carried else None)
        self.done = self.finished.keys()
        self._next = 1 + max((int(path.name.split(".")[0].removeprefix("part-")) for path in carried), default=-1)

    def __enter__(self) -> "Parts":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._flush()

    def add(self, row: Response) -> None:
        """Keep a response."""
        self.done.add(rows.response_key(row))
        self._made.append(row)
        if len(self._made) >= PART_RESPONSES or time.monotonic() - self._begun >= PART_S:
            self._flush()

    def lose(self, row: Response, kind: str, detail: str) -> None:
        """Drop a request that no answer came to; it stays to be asked by the next run."""
        self.failures[kind] += 1
        self.drops.append(rows.dropped(row, kind, detail))

    def reasons(self) -> Counter[str]:
        """How many were dropped, by reason."""
        return Counter(each.reason for each in self.drops)

    def finish(self) -> None:
        """Publish what is left, and the drops; an output without rows gets an empty part."""
        self._flush()
        if not self.done:
            # A shard that no key fell into: without its part the whole could never be put together.
            tables.write(self._inputs.output, [], Response)
        if self.drops:
            tables.write(self._inputs.dropped, self.drops, Dropped)

    def _flush(self) -> None:
        if self._made:
            path = self._inputs.output / f"part-{self._next:05d}.parquet"
            tables.write_part(path, sorted(self._made, key=rows.response_key), Response)
            self._inputs.publish_part(path)
            self._next, self._made = self._next + 1, []
        self._begun = time.monotonic()


def composition(directory: Path) -> dict[str, float]:
    """Counts of an artifact's responses, tokens and finish reasons, and the share that has both parts."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    found: Counter[str] = Counter({"n_responses": 0, "n_prompt_tokens": 0, "n_completion_tokens": 0, "n_truncated": 0})
    whole = 0
    columns = ["think", "answer", "finish_reason", "prompt_tokens", "completion_tokens"]
    files = (pq.ParquetFile(path, page_checksum_verification=True) for path in tables.parts(directory))
    for batch in (batch for file in files for batch in file.iter_batches(columns=columns)):
        think, answer, reason, prompt, completion = batch.columns
        found["n_responses"] += len(batch)
        found["n_prompt_tokens"] += pc.sum(prompt).as_py() or 0
        found["n_completion_tokens"] += pc.sum(completion).as_py() or 0
        found["n_truncated"] += pc.sum(pc.equal(reason, "length")).as_py() or 0
        whole += pc.sum(pc.and_(think.is_valid(), answer.is_valid())).as_py() or 0
    return {**found, "think_and_answer_share": whole / max(found["n_responses"], 1)}
