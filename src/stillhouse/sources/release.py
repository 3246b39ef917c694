"""Questions from a release in one of the public schemas, each with the release's response as its original response."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from stillhouse.exchange.bad_rows import Bad, Object
from stillhouse.exchange.conversion import question_of
from stillhouse.exchange.importing import decoded
from stillhouse.exchange.locations import FileOfRows
from stillhouse.sources.file import objects, sliced, stored
from stillhouse.sources.stored import Release
from stillhouse.vocabulary.ids import question_id
from stillhouse.vocabulary.rows import Dropped, Question


def questions(spec: Release, unmapped: Counter[str]) -> Iterator[Question | Dropped]:
    """The files' questions in their order, one per row: a question with several responses comes that many times."""

    def read(file: FileOfRows) -> Iterator[tuple[int, Question | Bad]]:
        return questions_of(spec, sliced(objects(file, spec.max_line_bytes), spec.slice), unmapped)

    return stored(spec, read)


def questions_of(
    spec: Release, rows: Iterable[tuple[int, Object | Bad]], unmapped: Counter[str]
) -> Iterator[tuple[int, Question | Bad]]:  # fmt: skip
    """The questions of numbered rows. Columns that the schema lacks are counted in ``unmapped``."""
    for number, record in decoded(rows, spec.kind, spec.category, spec.categories):
        if isinstance(record, Bad):
            yield number, record
            continue
        unmapped.update(record.ignored)
        question = question_of(record, question_id(record.messages, record.reference_answer), spec.license)
        yield number, replace(question, source=spec.name, original_response=record.text)
