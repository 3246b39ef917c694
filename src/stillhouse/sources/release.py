"""Questions from a release in one of the public schemas, each with the release's response as its original response."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from stillhouse.exchange.conversion import question_of
from stillhouse.exchange.files import Bad
from stillhouse.exchange.importing import records
from stillhouse.sources.config import Release
from stillhouse.sources.file import stored
from stillhouse.vocabulary.ids import question_id
from stillhouse.vocabulary.rows import Dropped, Question


def questions(spec: Release) -> Iterator[Question | Dropped]:
    """The file's questions in its order, one per row: a question with several responses comes that many times."""
    return stored(spec, lambda path: _numbered(spec, path))


def _numbered(spec: Release, path: Path) -> Iterator[tuple[int, Question | Bad]]:
    for number, record in records(path, spec.kind, spec.category, spec.max_line_bytes):
        if isinstance(record, Bad):
            yield number, record
        else:
            question = question_of(record, question_id(record.messages, record.reference_answer), spec.license)
            yield number, replace(question, source=spec.name, original_response=record.text)
