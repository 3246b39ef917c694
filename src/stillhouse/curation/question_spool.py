"""Questions that passed the rules, spooled to disk; the columns that decide between them stay in memory: 56 bytes each."""

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from stillhouse.artifacts.tables import Parts
from stillhouse.curation.boilerplate import SharedSentences
from stillhouse.curation.config import NearDuplicates
from stillhouse.curation.near import DedupSignatures
from stillhouse.curation.normalised import NormalisedQuestion, compared_words, user_text
from stillhouse.curation.stated_numbers import quantities, signature
from stillhouse.curation.words import words
from stillhouse.vocabulary.ids import normalise, prompt_text
from stillhouse.vocabulary.rows import Message, Question


@dataclass(frozen=True)
class SpoolColumns:
    """What is known of each question in the spool, in the order of the stream; every array is (n_questions,)."""

    ids: npt.NDArray[np.uint64]
    """The content id as a number."""
    names: npt.NDArray[np.uint64]
    """Hash of the question_id."""
    answers: npt.NDArray[np.uint64]
    """Hash of what the question is verified by: its reference, tests and constraints."""
    prompts: npt.NDArray[np.uint64]
    """Hash of the normalised prompt."""
    templates: npt.NDArray[np.uint64]
    """Hash of the prompt's numbers and operators, in whatever form and order."""
    lengths: npt.NDArray[np.uint32]
    """Characters of the prompt."""
    ranks: npt.NDArray[np.uint16]
    """Rank of the source in the declared order."""
    references: npt.NDArray[np.uint8]
    """1 if the question can be verified."""
    owned: npt.NDArray[np.uint8]
    """1 if the question belongs to this shard."""


class QuestionSpool:
    """Questions on disk. Call ``close`` before ``columns`` or ``tables``."""

    def __init__(
        self, directory: Path, near: NearDuplicates | None, source_order: Sequence[str], boilerplate_from: int | None = None
    ) -> None:
        self.shared = SharedSentences(boilerplate_from) if boilerplate_from else None
        self._ranks = {name: rank for rank, name in enumerate(source_order)}
        self._arrays = {name: array("Q") for name in ("ids", "names", "answers", "prompts", "templates")}
        self._arrays |= {"lengths": array("I"), "ranks": array("H"), "references": array("B"), "owned": array("B")}
        self._parts = Parts(directory, Question)
        self.signatures = DedupSignatures(directory / "signatures", near) if near else None

    def add(self, normalised: NormalisedQuestion, *, owned: bool) -> None:
        """Add one question."""
        question = normalised.question
        values = {
            "ids": int(normalised.content_id, 16), "names": _hash(question.question_id),
            "answers": _hash("\0".join(normalise(text or "") for text in verified_by(question))),
            "prompts": _hash(normalised.prompt), "lengths": len(normalised.prompt),
            "templates": signature(quantities(normalised.words)), "owned": owned,
            "ranks": self._ranks.get(question.source or "", len(self._ranks)),
            "references": any(verified_by(question)),
        }  # fmt: skip
        for name, value in values.items():
            self._arrays[name].append(value)
        if self.signatures:
            self.signatures.add(compared_words(question.messages, normalised.words))
        self._parts.add(question)

    def close(self) -> None:
        """Write the remaining questions."""
        self._parts.flush()
        if self.signatures:
            self.signatures.close()

    def leave_out_boilerplate(self) -> None:
        """Count the sentences of all questions; sign those with boilerplate anew, by the rest."""
        if self.shared:
            for _, table in self.tables():
                for messages in table["messages"].to_pylist():
                    self.shared.add(messages)
            self._sign_without_boilerplate(self.shared, self.shared.count())

    def own_text(self, messages: Sequence[Message]) -> str:
        """What the user says, without boilerplate."""
        return user_text(self.shared.rest(messages) if self.shared else messages)

    def _sign_without_boilerplate(self, shared: SharedSentences, rows: npt.NDArray[np.int64]) -> None:
        if self.signatures is None or not len(rows):
            return
        for start, table in self.tables():
            inside = rows[(rows >= start) & (rows < start + table.num_rows)]
            conversations = table["messages"].take(pa.array(inside - start)).to_pylist()
            own = [shared.rest(messages) for messages in conversations]
            changed = [place for place, messages in enumerate(own) if messages != conversations[place]]
            prompts = [words(normalise(prompt_text(own[place]))) for place in changed]
            self.signatures.replace(inside[changed].tolist(), prompts)

    def columns(self) -> SpoolColumns:
        """The columns as arrays."""
        return SpoolColumns(**{name: np.frombuffer(column, dtype=column.typecode) for name, column in self._arrays.items()})

    def tables(self) -> Iterator[tuple[int, pa.Table]]:
        """The questions part by part, each with the row number of its first question."""
        start = 0
        for path in self._parts.paths:
            table = pq.read_table(path, schema=Question.SCHEMA)
            yield start, table
            start += table.num_rows


def verified_by(question: Question) -> tuple[str | None, str | None, str | None]:
    """What an answer to the question is verified by."""
    return question.reference_answer, question.test_cases, question.constraints


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")
