"""The questions that pass the rules, put aside on disk, with what deciding between them takes in memory: 40 bytes to a question."""

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from stillhouse.artifacts.tables import Parts
from stillhouse.curation.near import NearDuplicates, Signatures
from stillhouse.curation.normalised import Reading
from stillhouse.curation.words import quantities
from stillhouse.vocabulary.rows import Question

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Columns:
    """What is known of each question in the pool, in the order of the stream."""

    ids: "np.ndarray[Any, Any]"
    """question_id as a number."""
    prompts: "np.ndarray[Any, Any]"
    """Hash of the normalised prompt."""
    templates: "np.ndarray[Any, Any]"
    """Hash of the prompt's numbers and operators in order."""
    lengths: "np.ndarray[Any, Any]"
    """Characters of the prompt."""
    ranks: "np.ndarray[Any, Any]"
    """Place of the source in the declared order."""
    references: "np.ndarray[Any, Any]"
    """1 where there is something to verify by."""
    owned: "np.ndarray[Any, Any]"
    """1 where the question is of this shard."""


class Pool:
    """Questions put aside. ``close`` before asking for ``columns`` or ``tables``."""

    def __init__(self, directory: Path, near: NearDuplicates | None, source_order: Sequence[str]) -> None:
        self._ranks = {name: rank for rank, name in enumerate(source_order)}
        self._arrays = {"ids": array("Q"), "prompts": array("Q"), "templates": array("Q"), "lengths": array("I")}
        self._arrays |= {"ranks": array("H"), "references": array("B"), "owned": array("B")}
        self._parts = Parts(directory, Question)
        self.signatures = Signatures(directory / "signatures", near) if near else None

    def add(self, reading: Reading, *, owned: bool) -> None:
        """Put one question aside."""
        question = reading.question
        values = {
            "ids": int(question.question_id, 16), "prompts": _hash(reading.prompt), "lengths": len(reading.prompt),
            "templates": _hash(" ".join(quantities(reading.words))), "owned": owned,
            "ranks": self._ranks.get(question.source or "", len(self._ranks)),
            "references": bool(question.reference_answer or question.test_cases or question.constraints),
        }  # fmt: skip
        for name, value in values.items():
            self._arrays[name].append(value)
        if self.signatures:
            self.signatures.add(reading.words)
        self._parts.add(question)

    def close(self) -> None:
        """Write what is left to write."""
        self._parts.flush()
        if self.signatures:
            self.signatures.close()

    def columns(self) -> Columns:
        """The columns as arrays."""
        import numpy as np

        return Columns(**{name: np.frombuffer(column, dtype=column.typecode) for name, column in self._arrays.items()})

    def tables(self) -> Iterator[tuple[int, pa.Table]]:
        """The questions part by part, each with the place of its first question."""
        start = 0
        for path in self._parts.paths:
            table = pq.read_table(path, schema=Question.SCHEMA)
            yield start, table
            start += table.num_rows


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")
