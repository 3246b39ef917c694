"""The columns of its inputs that screening needs, without the others."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from stillhouse.artifacts import tables
from stillhouse.screening.rules import QuestionForm
from stillhouse.screening.structure import turns
from stillhouse.vocabulary.ids import prompt_text
from stillhouse.vocabulary.rows import Question, Response
from stillhouse.vocabulary.shards import Shard


def texts(responses: Iterable[Path], shard: Shard) -> Iterator[str]:
    """The texts of the shard's responses."""
    for directory in responses:
        for question_id, text in _columns(directory, Response, "question_id", "text"):
            if shard.count == 1 or shard.holds(question_id):
                yield text


def question_forms(questions: Path, *, with_prompts: bool) -> dict[str, QuestionForm]:
    """What the rules need of each question, by id.

    Without prompts, questions with the same number of turns share one object, so that millions of them fit into memory.
    """
    forms: dict[str, QuestionForm] = {}
    shared: dict[int, QuestionForm] = {}
    for question_id, messages in _columns(questions, Question, "question_id", "messages"):
        n_turns = turns(messages)
        if with_prompts:
            forms[question_id] = QuestionForm(n_turns, prompt_text(messages))
        else:
            forms[question_id] = shared.setdefault(n_turns, QuestionForm(n_turns, ""))
    return forms


def _columns(directory: Path, row_type: type[Any], *names: str) -> Iterator[Sequence[Any]]:
    for path in tables.parts(directory):
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            tables.check_columns(path, file.schema_arrow.names, names, row_type)
            for batch in file.iter_batches(1024, columns=list(names)):
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
