"""Responses on their way to disk: parts published as they fill, and rows of earlier runs reused instead of sampled again."""

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow.compute as pc
import pyarrow.parquet as pq

from stillhouse.artifacts import tables
from stillhouse.execution.contract import StageInputs
from stillhouse.sampling.engine import Request
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.rows import Dropped, Keyed, Response, ResponseKey

PART_RESPONSES = 2048
"""Responses per published part: the most that a killed run loses."""
PART_S = 300
"""Seconds after which a part is published even if it is not full: long responses fill one slowly."""


@dataclass(frozen=True, slots=True)
class ResponseOrigin(Keyed):
    """The columns that tell whether a new run would sample the same response: key, seed and settings."""

    seed: int
    sampling_id: str
    finish_reason: str


class EarlierResponses:
    """The responses of an artifact, by key, without their texts."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        origins = tables.read(directory, ResponseOrigin) if directory else ()
        self._origins = {rows.response_key(row): (row.seed, row.sampling_id) for row in origins if row.finish_reason != "error"}

    def keys(self) -> set[ResponseKey]:
        """The keys of all of them."""
        return set(self._origins)

    def has(self, request: Request, sampling_id: str) -> bool:
        """Whether the same request was made before under the same settings, and answered."""
        return self._origins.get(request.key) == (request.seed, sampling_id)

    def read(self, keys: set[ResponseKey]) -> Iterator[Response]:
        """The rows of these keys."""
        if keys and self._directory:
            yield from (row for row in tables.read(self._directory, Response) if rows.response_key(row) in keys)


class PublishedParts:
    """The output of the stage so far; a context manager that publishes the last part, however the block ends.

    It starts with the parts that an earlier attempt finished, under their old names: ``done`` holds their keys, which need no
    request.
    """

    def __init__(self, inputs: StageInputs) -> None:
        self._inputs = inputs
        self.drops: list[Dropped] = []
        self.failures: Counter[str] = Counter()
        self._pending: list[Response] = []
        self._begun = time.monotonic()
        carried = sorted(inputs.finished.glob("part-*.parquet")) if inputs.finished else []
        for path in carried:
            inputs.output.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, inputs.output / path.name)
        self.finished = EarlierResponses(inputs.output if carried else None)
        self.done = self.finished.keys()
        self._next = 1 + max((int(path.name.split(".")[0].removeprefix("part-")) for path in carried), default=-1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._flush()

    def add(self, row: Response) -> None:
        """Keep a response."""
        self.done.add(rows.response_key(row))
        self._pending.append(row)
        if len(self._pending) >= PART_RESPONSES or time.monotonic() - self._begun >= PART_S:
            self._flush()

    def lose(self, row: Response, kind: str, detail: str) -> None:
        """Drop a request that got no answer; the next run will make it again."""
        self.failures[kind] += 1
        self.drops.append(rows.dropped(row, kind, detail))

    def reasons(self) -> Counter[str]:
        """The number of dropped rows by reason."""
        return Counter(drop.reason for drop in self.drops)

    def finish(self) -> None:
        """Publish the last part and the drops; an output without rows gets an empty part."""
        self._flush()
        if not self.done:
            # A shard without any key: the shards can be joined only if each of them has a part.
            tables.write(self._inputs.output, [], Response)
        if self.drops:
            tables.write(self._inputs.dropped, self.drops, Dropped)

    def _flush(self) -> None:
        if self._pending:
            path = self._inputs.output / f"part-{self._next:05d}.parquet"
            tables.write_part(path, sorted(self._pending, key=rows.response_key), Response)
            self._inputs.publish_part(path)
            self._next, self._pending = self._next + 1, []
        self._begun = time.monotonic()


def composition(directory: Path) -> dict[str, float]:
    """Counts of an artifact's responses, tokens and truncations, and the share of responses with both thinking and answer."""
    totals: Counter[str] = Counter({"n_responses": 0, "n_prompt_tokens": 0, "n_completion_tokens": 0, "n_truncated": 0})
    n_whole = 0
    columns = ["think", "answer", "finish_reason", "prompt_tokens", "completion_tokens"]
    files = (pq.ParquetFile(path, page_checksum_verification=True) for path in tables.parts(directory))
    for batch in (batch for file in files for batch in file.iter_batches(columns=columns)):
        think, answer, reason, prompt, completion = batch.columns
        totals["n_responses"] += len(batch)
        totals["n_prompt_tokens"] += pc.sum(prompt).as_py() or 0
        totals["n_completion_tokens"] += pc.sum(completion).as_py() or 0
        totals["n_truncated"] += pc.sum(pc.equal(reason, "length")).as_py() or 0
        n_whole += pc.sum(pc.and_(think.is_valid(), answer.is_valid())).as_py() or 0
    return {**totals, "think_and_answer_share": n_whole / max(totals["n_responses"], 1)}
