"""Encode first-round rows as integer question, model and sample codes, part by part, so that no string is held per row.

Parquet holds each id of a part once, in a dictionary, and this module reads the dictionaries. A question's code is its index among
the questions. Rows mostly come in the order of the questions: comparing a dictionary with the next stretch of questions shows that.
Ids in another order are looked up one by one.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stillhouse.artifacts import frames, tables
from stillhouse.vocabulary.shards import Shard

READERS = 2
"""Parts that are decoded ahead of the current one."""
WIDTH = 64
"""Samples per question whose keys are flags in an array; keys of further samples are held in a set."""
AS_DICTIONARY = ["question_id", "model", "prompt_kind"]


@dataclass(frozen=True)
class Part:
    """The first-round rows of one part, by column; rows on unknown questions are left out. All arrays are (n_rows,)."""

    question: npt.NDArray[np.int32]
    """Index among the questions."""
    model: npt.NDArray[np.int32]
    """Index in ``Keys.models``."""
    sample: npt.NDArray[np.int32]
    row: npt.NDArray[np.int64]
    """Index among all rows of the artifacts, as ``frames.fetch`` takes it."""
    values: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """Further columns by name: floats with NaN for null, and booleans with False for null."""
    unknown: Sequence[str] = ()
    """Ids that are not among the questions."""
    n_unknown: int = 0
    """First-round rows with such an id."""
    later: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """Rows of later rounds and other prompt kinds, by model, prompt_kind and round."""

    def by_model(self) -> Iterator[tuple[int, slice | npt.NDArray[np.int64]]]:
        """Each model's code with an index of its rows."""
        # Nearly every part holds one model's rows: this check costs a fraction of a sort.
        one_model = not len(self.model) or bool((self.model == self.model[0]).all())
        for model in self.model[:1].tolist() if one_model else np.unique(self.model).tolist():
            yield model, slice(None) if one_model else np.flatnonzero(self.model == model)


class Keys:
    """The codes of questions and models; models are numbered in the order in which they are read."""

    def __init__(self, question_ids: pl.Series, shard: Shard | None = None) -> None:
        """``shard``: rows on questions of other shards are passed over, as if they were not there."""
        self.shard = shard or Shard()
        self.models: list[str] = []
        self.ids: pl.Series = question_ids
        self._ids: pa.Array = question_ids.to_arrow().cast(pa.string())
        self._next = 0
        self._index: dict[str, int] = {}

    def read(self, directories: Path | Sequence[Path], row_type: type[Any], values: Sequence[str] = ()) -> Iterator[Part]:
        """The first-round rows of artifacts of responses, verdicts or screenings, with the columns named by ``values``."""
        columns, first_row = [*row_type.KEY, *values], 0
        decode = partial(_table, row_type=row_type, columns=columns)
        for table in _ahead(decode, frames.part_files(directories)):
            for batch in table.to_batches():
                yield self._part(batch, first_row, values)
                first_row += batch.num_rows

    def _part(self, batch: pa.RecordBatch, first_row: int, values: Sequence[str]) -> Part:
        ids, models, kinds = (batch.column(name) for name in AS_DICTIONARY)
        codes = self.codes(ids.dictionary)
        id_index, rounds = ids.indices.to_numpy(), batch.column("round").to_numpy()
        model = np.array([self.number(name) for name in models.dictionary.to_pylist()], np.int32)[models.indices.to_numpy()]
        kept = (kinds.indices.to_numpy() == kinds.dictionary.index("question").as_py()) & (rounds == 1)
        mine = self._mine(ids)
        later: Counter[tuple[str, str, int]] = Counter()
        if not kept.all():
            rest = batch.select(["model", "prompt_kind", "round"]).filter(pa.array(~kept & mine))
            later.update(zip(*(column.to_pylist() for column in rest.columns), strict=True))
        question, unknown, n_unknown = codes[id_index], [], 0
        kept &= mine
        if (codes < 0).any():
            n_unknown = int((kept & (question < 0)).sum())
            unknown = ids.dictionary.take(pa.array(np.unique(id_index[kept & (question < 0)]))).to_pylist()
            kept &= question >= 0
        rows = slice(None) if kept.all() else kept
        return Part(
            question[rows], model[rows], batch.column("sample_index").to_numpy()[rows],
            np.arange(first_row, first_row + batch.num_rows)[rows],
            {name: _values(batch.column(name))[rows] for name in values}, unknown, n_unknown, later,
        )  # fmt: skip

    def _mine(self, ids: pa.Array) -> npt.NDArray[np.bool_]:
        """Whether each row is on a question of the shard."""
        if self.shard.count == 1:
            return np.ones(len(ids), bool)
        held: npt.NDArray[np.bool_] = np.array([self.shard.holds(key) for key in ids.dictionary.to_pylist()], bool)
        mine: npt.NDArray[np.bool_] = held[ids.indices.to_numpy()]
        return mine

    def number(self, name: str) -> int:
        """The code of a model."""
        if name not in self.models:
            self.models.append(name)
        return self.models.index(name)

    def codes(self, ids: pa.Array) -> npt.NDArray[np.int32]:
        """The index of each id among the questions, -1 for an unknown id; (n_ids,)."""
        n_questions = max(len(self._ids), 1)
        # A question whose rows begin in one part and end in the next is in both dictionaries.
        for start in (self._next, (self._next - 1) % n_questions, 0):
            ahead = self._ids.slice(start, len(ids))
            if ids.slice(0, len(ahead)).equals(ahead) and ids.slice(len(ahead)).equals(self._ids.slice(0, len(ids) - len(ahead))):
                self._next = (start + len(ids)) % n_questions
                return ((start + np.arange(len(ids))) % n_questions).astype(np.int32)
        if not self._index:
            self._index = {question_id: index for index, question_id in enumerate(self._ids.to_pylist())}
        return np.array([self._index.get(question_id, -1) for question_id in ids.to_pylist()], np.int32)


class Seen:
    """The keys that were read."""

    def __init__(self, n_questions: int) -> None:
        self._n_questions = n_questions
        self._flags: dict[int, npt.NDArray[np.bool_]] = {}
        """Model -> whether a key was read, (n_questions, n_samples)."""
        self._far: set[tuple[int, int, int]] = set()
        self._n = 0

    def add(self, part: Part) -> None:
        """Note the keys of a part."""
        self._n += len(part.sample)
        for model, rows in part.by_model():
            question, sample = part.question[rows], part.sample[rows]
            if (sample >= WIDTH).any():
                far = sample >= WIDTH
                self._far.update((model, *key) for key in zip(question[far].tolist(), sample[far].tolist(), strict=True))
                question, sample = question[~far], sample[~far]
            self._widen(model, int(sample.max(initial=0)) + 1)
            self._flags[model][question, sample] = True

    def _widen(self, model: int, width: int) -> None:
        flags = self._flags.get(model, np.zeros((self._n_questions, 0), bool))
        if flags.shape[1] < width:
            flags = np.pad(flags, ((0, 0), (0, width - flags.shape[1])))
        self._flags[model] = flags

    @property
    def n_keys(self) -> int:
        """How many keys were read."""
        return self._n

    @property
    def has_duplicates(self) -> bool:
        """Whether a key was read twice."""
        return sum(int(np.count_nonzero(flags)) for flags in self._flags.values()) + len(self._far) < self._n

    def missing_from(self, other: "Seen") -> tuple[int, int, int] | None:
        """The first key, as model, question and sample, that was read here but not by ``other``."""
        for model, flags in self._flags.items():
            other._widen(model, flags.shape[1])
            absent = flags & ~other._flags[model][:, : flags.shape[1]]
            if absent.any():
                question, sample = np.unravel_index(int(absent.argmax()), absent.shape)
                return model, int(question), int(sample)
        return min(self._far - other._far, default=None)


def _values(column: pa.Array) -> npt.NDArray[Any]:
    """A column of numbers or booleans as an array: NaN for a null number, False for a null boolean."""
    if pa.types.is_boolean(column.type):
        column = pc.fill_null(column, fill_value=False)
    values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


def _table(path: Path, row_type: type[Any], columns: Sequence[str]) -> pa.Table:
    with pq.ParquetFile(path, read_dictionary=AS_DICTIONARY, page_checksum_verification=True) as file:
        tables.check_columns(path, file.schema_arrow.names, columns, row_type)
        return file.read(columns=list(columns), use_threads=False)


def _ahead(decode: Callable[[Path], pa.Table], paths: Iterable[Path]) -> Iterator[pa.Table]:
    """The decoded tables of the paths, in order; up to READERS of them are decoded ahead."""
    waiting: deque[Future[pa.Table]] = deque()
    with ThreadPoolExecutor(READERS) as pool:
        for path in paths:
            waiting.append(pool.submit(decode, path))
            if len(waiting) > READERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
