"""Questions that passed the rules, spooled to disk; the columns that decide between them stay in memory: 55 bytes each."""

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
from stillhouse.curation import question_cards
from stillhouse.curation.boilerplate import SharedSentences
from stillhouse.curation.config import NearDuplicates
from stillhouse.curation.near import DedupSignatures
from stillhouse.curation.normalised import NormalisedQuestion, compared_words, user_text
from stillhouse.curation.question_cards import QuestionCard, verified_by
from stillhouse.curation.stated_numbers import quantities, signature
from stillhouse.curation.words import words
from stillhouse.vocabulary.ids import normalise, prompt_text
from stillhouse.vocabulary.rows import Message, Question

COLUMNS, SIGNATURES = "columns.npz", "signatures"


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
    positions: npt.NDArray[np.uint64]
    """Number of the question in the stream of all rows."""


class QuestionSpool:
    """Questions on disk. Call ``close`` before ``columns`` or ``tables``."""

    def __init__(
        self, directory: Path, near: NearDuplicates | None, source_order: Sequence[str], boilerplate_from: int | None = None
    ) -> None:
        self.directory = directory
        self.shared = SharedSentences(boilerplate_from) if boilerplate_from else None
        self._ranks = {name: rank for rank, name in enumerate(source_order)}
        self._arrays = {name: array("Q") for name in ("ids", "names", "answers", "prompts", "templates", "positions")}
        self._arrays |= {"lengths": array("I"), "ranks": array("H"), "references": array("B")}
        self._parts = Parts(directory, Question)
        self._cards: Sequence[Path] = ()
        self.signatures = DedupSignatures(directory / SIGNATURES, near) if near else None

    def add(self, normalised: NormalisedQuestion, *, position: int) -> None:
        """Add one question, with its number in the stream."""
        question = normalised.question
        values = {
            "ids": int(normalised.content_id, 16), "names": _hash(question.question_id),
            "answers": _hash("\0".join(normalise(text or "") for text in verified_by(question))),
            "prompts": _hash(normalised.prompt), "lengths": len(normalised.prompt),
            "templates": signature(quantities(normalised.words)), "positions": position,
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

    def save(self, directory: Path, order: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> None:
        """Write what decisions need of the questions to a directory, the rows in this order; see ``load``.

        ``sizes`` (n_shards,): how many of them, in order, each shard takes.
        """
        directory.mkdir(parents=True)
        columns = {name: np.frombuffer(column, dtype=column.typecode)[order] for name, column in self._arrays.items()}
        np.savez(directory / COLUMNS, sizes=sizes, **columns)  # type: ignore[arg-type]  # numpy types its one flag as every column
        if self.signatures:
            self.signatures.save(directory / SIGNATURES, order)

    def load(self, directories: Sequence[Path], cards: Sequence[Path], texts: Sequence[Path] = ()) -> npt.NDArray[np.int64]:
        """Take the questions of several spools that were saved, one after the other.

        ``cards``: files of their cards; ``texts``: files of their rows, if those are read.

        Returns the sizes of all, (n_spools, n_shards).
        """
        sizes = []
        for directory in directories:
            with np.load(directory / COLUMNS) as columns:
                sizes.append(columns["sizes"])
                for name, column in self._arrays.items():
                    column.frombytes(columns[name].tobytes())
        if self.signatures:
            self.signatures.load([directory / SIGNATURES for directory in directories])
        self._parts.paths, self._cards = list(texts), cards
        return np.stack(sizes)

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

    def questions(self, rows: npt.NDArray[np.int64]) -> dict[int, Question]:
        """The questions of these rows, which ascend."""
        chosen: dict[int, Question] = {}
        for start, table in self.tables():
            inside = rows[(rows >= start) & (rows < start + table.num_rows)]
            values = table.take(pa.array(inside - start)).to_pylist()
            chosen |= {row: Question(**each) for row, each in zip(inside.tolist(), values, strict=True)}
        return chosen

    def own_texts(self, rows: npt.NDArray[np.int64]) -> dict[int, str]:
        """What the user says in the questions of these rows, which ascend, without boilerplate."""
        return {row: self.own_text(question.messages) for row, question in self.questions(rows).items()}

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

    def cards(self, rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, QuestionCard]]:
        """The cards of these rows, which ascend, each with its row."""
        for start, table in _numbered(self._cards, question_cards.SCHEMA) if self._cards else self.tables():
            inside = rows[(rows >= start) & (rows < start + table.num_rows)]
            yield from zip(inside.tolist(), question_cards.cards(table.take(pa.array(inside - start))), strict=True)

    def tables(self) -> Iterator[tuple[int, pa.Table]]:
        """The questions part by part, each with the row number of its first question."""
        return _numbered(self._parts.paths, Question.SCHEMA)


def _numbered(paths: Sequence[Path], schema: pa.Schema) -> Iterator[tuple[int, pa.Table]]:
    """The tables of the files, each with the row number of its first row."""
    start = 0
    for path in paths:
        table = pq.read_table(path, schema=schema)
        yield start, table
        start += table.num_rows


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")
