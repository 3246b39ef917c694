"""First-round rows as integers, part by part: which question, which model, which sample, and no string to a row.

Parquet holds each id of a part once (its dictionary), and so it is read here. An id's number is its place among the questions. Rows
mostly come in the questions' order, which is seen by comparing a dictionary with the next stretch of them; others are looked up.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from stillhouse.artifacts import frames, tables

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    Array = np.ndarray[Any, Any]

READERS = 2
"""Parts that are decoded ahead of the one at hand."""
WIDTH = 64
"""Samples to a question whose keys are flags of an array; further ones are held one by one."""
AS_DICTIONARY = ["question_id", "model", "prompt_kind"]


@dataclass(frozen=True)
class Part:
    """First-round rows of one part, by column; rows on questions that were not asked are left out."""

    question: "Array"
    """Place among the questions."""
    model: "Array"
    """Place in ``Keys.models``."""
    sample: "Array"
    place: "Array"
    """Place among all rows of the artifacts, as ``frames.fetch`` takes it."""
    value: "Array | None" = None
    unknown: Sequence[str] = ()
    """Ids of the questions that were not asked."""
    later: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """Rows that are not of the first round, by model, prompt_kind and round."""

    def by_model(self) -> "Iterator[tuple[int, Any]]":
        """Each model with what its rows are indexed by."""
        import numpy as np

        # Nearly all parts are one model's: seen at a fraction of what it takes to sort them.
        one = not len(self.model) or bool((self.model == self.model[0]).all())
        for model in self.model[:1].tolist() if one else np.unique(self.model).tolist():
            yield model, slice(None) if one else np.flatnonzero(self.model == model)


class Keys:
    """The numbers of questions and of models; models are numbered as they are met."""

    def __init__(self, question_ids: "pl.Series") -> None:
        self.models: list[str] = []
        self.ids: pl.Series = question_ids
        self._ids: pa.Array = question_ids.to_arrow().cast(pa.string())
        self._next = 0
        self._index: dict[str, int] = {}

    def read(self, directories: Path | Sequence[Path], row_type: type[Any], value: str | None = None) -> Iterator[Part]:
        """The first-round rows of artifacts of responses, verdicts or screenings, with the numbers of one more column."""
        columns, first = [*row_type.KEY, *([value] if value else [])], 0
        for table in _ahead(partial(_table, row_type=row_type, columns=columns), frames.part_files(directories)):
            for batch in table.to_batches():
                yield self._part(batch, first, value)
                first += batch.num_rows

    def _part(self, batch: pa.RecordBatch, first: int, value: str | None) -> Part:
        import numpy as np

        ids, models, kinds = (batch.column(name) for name in AS_DICTIONARY)
        numbers = self.numbers(ids.dictionary)
        code, rounds = ids.indices.to_numpy(), batch.column("round").to_numpy()
        model = np.array([self.number(each) for each in models.dictionary.to_pylist()], np.int32)[models.indices.to_numpy()]
        plain = (kinds.indices.to_numpy() == kinds.dictionary.index("question").as_py()) & (rounds == 1)
        later: Counter[tuple[str, str, int]] = Counter()
        if not plain.all():
            rest = batch.select(["model", "prompt_kind", "round"]).filter(pa.array(~plain))
            later.update(zip(*(column.to_pylist() for column in rest.columns), strict=True))
        question, unknown = numbers[code], []
        if (numbers < 0).any():
            unknown = ids.dictionary.take(pa.array(np.unique(code[plain & (question < 0)]))).to_pylist()
            plain &= question >= 0
        made = {"question": question, "model": model, "sample": batch.column("sample_index").to_numpy()}
        made["place"] = np.arange(first, first + batch.num_rows)
        if value:
            made["value"] = batch.column(value).to_numpy(zero_copy_only=False)
        if not plain.all():
            made = {name: column[plain] for name, column in made.items()}
        return Part(**made, unknown=unknown, later=later)

    def number(self, name: str) -> int:
        """The number of a model."""
        if name not in self.models:
            self.models.append(name)
        return self.models.index(name)

    def numbers(self, ids: pa.Array) -> "Array":
        """The place of each id among the questions, -1 where there is none."""
        import numpy as np

        n_questions = max(len(self._ids), 1)
        # A question whose rows begin in one part and end in the next is in both dictionaries.
        for start in (self._next, (self._next - 1) % n_questions, 0):
            ahead = self._ids.slice(start, len(ids))
            if ids.slice(0, len(ahead)).equals(ahead) and ids.slice(len(ahead)).equals(self._ids.slice(0, len(ids) - len(ahead))):
                self._next = (start + len(ids)) % n_questions
                return ((start + np.arange(len(ids))) % n_questions).astype(np.int32)
        if not self._index:
            self._index = {each: place for place, each in enumerate(self._ids.to_pylist())}
        return np.array([self._index.get(each, -1) for each in ids.to_pylist()], np.int32)


class Seen:
    """The keys that were met."""

    def __init__(self, n_questions: int) -> None:
        self._n_questions = n_questions
        self._flags: dict[int, Array] = {}
        self._far: set[tuple[int, int, int]] = set()
        self._n = 0

    def add(self, part: Part) -> None:
        """Note the keys of a part."""
        self._n += len(part.sample)
        for model, at in part.by_model():
            question, sample = part.question[at], part.sample[at]
            if (sample >= WIDTH).any():
                far = sample >= WIDTH
                self._far.update((model, *key) for key in zip(question[far].tolist(), sample[far].tolist(), strict=True))
                question, sample = question[~far], sample[~far]
            self._widen(model, int(sample.max(initial=0)) + 1)
            self._flags[model][question, sample] = True

    def _widen(self, model: int, width: int) -> None:
        import numpy as np

        flags = self._flags.get(model, np.zeros((self._n_questions, 0), bool))
        if flags.shape[1] < width:
            flags = np.pad(flags, ((0, 0), (0, width - flags.shape[1])))
        self._flags[model] = flags

    @property
    def has_duplicates(self) -> bool:
        """Whether some key was met twice."""
        import numpy as np

        return sum(int(np.count_nonzero(each)) for each in self._flags.values()) + len(self._far) < self._n

    def missing_from(self, other: "Seen") -> tuple[int, int, int] | None:
        """The first key, as model, question and sample, that was met here and not there."""
        import numpy as np

        for model, flags in self._flags.items():
            other._widen(model, flags.shape[1])
            absent = flags & ~other._flags[model][:, : flags.shape[1]]
            if absent.any():
                question, sample = np.unravel_index(int(absent.argmax()), absent.shape)
                return model, int(question), int(sample)
        return min(self._far - other._far, default=None)


def _table(path: Path, row_type: type[Any], columns: Sequence[str]) -> pa.Table:
    with pq.ParquetFile(path, read_dictionary=AS_DICTIONARY, page_checksum_verification=True) as file:
        tables.check_columns(path, file.schema_arrow.names, columns, row_type)
        return file.read(columns=list(columns), use_threads=False)


def _ahead(read: Any, paths: Iterable[Path]) -> Iterator[pa.Table]:
    """What ``read`` makes of each path, in order, some of them read ahead."""
    waiting: deque[Future[pa.Table]] = deque()
    with ThreadPoolExecutor(READERS) as pool:
        for path in paths:
            waiting.append(pool.submit(read, path))
            if len(waiting) > READERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
