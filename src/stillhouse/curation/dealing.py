"""Sources that shards cannot pass over row by row are read once, by the step ``read``, and their rows dealt out to the shards.

Those are sources that generate questions, sources of your own, and stored ones with a ``count``: which rows are good decides where
they end. All others are divided by their readers, which skip the rows of other shards before they parse them (``row_share``).
"""

import json
from collections import Counter
from collections.abc import Iterator
from heapq import merge
from itertools import islice, repeat
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stillhouse import sources
from stillhouse.artifacts import tables
from stillhouse.curation.config import QuestionsConfig, QuestionsInputs
from stillhouse.exchange.row_share import RowShare
from stillhouse.execution.contract import Outputs
from stillhouse.sources.config import Spec
from stillhouse.sources.stored import StoredSpec
from stillhouse.vocabulary.rows import Dropped, Question
from stillhouse.vocabulary.shards import Shard

BATCH_ROWS = 8192
"""Rows dealt out at a time: what bounds the memory of the step."""
COUNTS = "counts.json"
_POSITION = pa.field("position", pa.int64())
Row = Question | Dropped


def is_dealt(spec: Spec) -> bool:
    """Whether a source is read once for all shards."""
    return spec.count is not None or not isinstance(spec, StoredSpec)


def deal(config: QuestionsConfig, inputs: QuestionsInputs) -> Outputs:
    """Read the sources that are dealt; publish each shard's rows of them. Raises what the sources raise."""
    count, rows, unmapped = inputs.shard.count, dict[str, int](), dict[str, Counter[str]]()
    total = sum(spec.count or 0 for spec in config.sources)
    for number, spec in enumerate(config.sources):
        if is_dealt(spec):
            stream = sources.read(spec, unmapped.setdefault(spec.name, Counter()))
            rows[str(number)] = _deal_source(stream, number, inputs, sum(rows.values()), total)
    for index in range(count):
        path = inputs.output / f"to-{index}" / COUNTS
        path.parent.mkdir(parents=True, exist_ok=True)
        # What is counted once for all belongs to the first shard.
        path.write_text(json.dumps({"rows": rows, "unmapped": {} if index else unmapped}), encoding="utf-8")
    return Outputs({"n_dealt": float(sum(rows.values()))})


def _deal_source(stream: Iterator[Row], number: int, inputs: QuestionsInputs, n_before: int, total: int) -> int:
    """Write the rows of one source by shard, each with its number in the source. Returns how many there are."""
    shares = [RowShare(Shard(index, inputs.shard.count)) for index in range(inputs.shard.count)]
    files = [_DealtFiles(inputs.output / f"to-{share.shard.index}" / str(number)) for share in shares]
    n_rows = 0
    while batch := list(islice(stream, BATCH_ROWS)):
        numbered = list(enumerate(batch, n_rows))
        for share, file in zip(shares, files, strict=True):
            file.add([(position, row) for position, row in numbered if share.holds(position)])
        n_rows += len(batch)
        inputs.progress(n_before + n_rows, max(n_before + n_rows, total), "rows")
    for file in files:
        file.close()
    return n_rows


class _DealtFiles:
    """One shard's rows of a source on disk: its questions, and its dropped rows."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self._writers = {row_type: pq.ParquetWriter(path, _schema(row_type), compression="zstd", write_page_checksum=True)
                         for row_type, path in _paths(directory).items()}  # fmt: skip

    def add(self, rows: list[tuple[int, Row]]) -> None:
        """Append rows, each with its position in the source."""
        for row_type, writer in self._writers.items():
            of_type = [(position, row) for position, row in rows if isinstance(row, row_type)]
            if of_type:
                positions = pa.array([position for position, _ in of_type], _POSITION.type)
                writer.write_table(tables.table([row for _, row in of_type], row_type).append_column(_POSITION, positions))

    def close(self) -> None:
        """End the files."""
        for writer in self._writers.values():
            writer.close()


def dealt(directory: Path, number: int) -> Iterator[Row | None]:
    """The rows of one source in its order; None for each row that was dealt to another shard."""
    n_rows = _counts(directory)["rows"][str(number)]
    streams = [_rows(path, row_type) for row_type, path in _paths(directory / str(number)).items()]
    next_position = 0
    for position, row in merge(*streams, key=itemgetter(0)):
        yield from repeat(None, position - next_position)
        yield row
        next_position = position + 1
    yield from repeat(None, n_rows - next_position)


def unmapped_columns(directory: Path) -> dict[str, dict[str, int]]:
    """Source -> column that its mapping leaves out -> rows with a value in it, of the sources that were dealt."""
    unmapped: dict[str, dict[str, int]] = _counts(directory)["unmapped"]
    return unmapped


def _rows(path: Path, row_type: type[Row]) -> Iterator[tuple[int, Row]]:
    for batch in pq.ParquetFile(path, page_checksum_verification=True).iter_batches(tables.READ_ROWS):
        for values in batch.to_pylist():
            yield values.pop(_POSITION.name), row_type(**values)


def _paths(directory: Path) -> dict[type[Row], Path]:
    return {Question: directory / "questions.parquet", Dropped: directory / "dropped-rows.parquet"}


def _schema(row_type: type[Row]) -> pa.Schema:
    return row_type.SCHEMA.append(_POSITION)


def _counts(directory: Path) -> dict[str, Any]:
    counts: dict[str, Any] = json.loads((directory / COUNTS).read_text(encoding="utf-8"))
    return counts
