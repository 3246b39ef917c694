"""What screening reads of its inputs: the columns it needs and no others."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from stillhouse.artifacts import tables
from stillhouse.screening.rules import Asked
from stillhouse.screening.structure import turns
from stillhouse.vocabulary.ids import prompt_text
from stillhouse.vocabulary.rows import Question, Response


def texts(responses: Iterable[Path]) -> Iterator[str]:
    """The texts of all responses."""
    for directory in responses:
        for (text,) in _columns(directory, Response, "text"):
            yield text


def asked(questions: Path, *, with_prompts: bool) -> dict[str, Asked]:
    """What the rules need of each question. Without prompts, questions of as many turns share it: millions are to fit in memory."""
    made: dict[str, Asked] = {}
    shared: dict[int, Asked] = {}
    for question_id, messages in _columns(questions, Question, "question_id", "messages"):
        n_turns = turns(messages)
        made[question_id] = (
            Asked(n_turns, prompt_text(messages)) if with_prompts else shared.setdefault(n_turns, Asked(n_turns, ""))
        )
    return made


def _columns(directory: Path, row_type: type[Any], *names: str) -> Iterator[Sequence[Any]]:
    for path in tables.parts(directory):
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            tables.check_columns(path, file.schema_arrow.names, names, row_type)
            for batch in file.iter_batches(1024, columns=list(names)):
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
