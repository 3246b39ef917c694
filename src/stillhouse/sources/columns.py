"""Turn the rows of any data set into questions, as the source's mapping says; a row with several responses keeps the best one."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from stillhouse.exchange.bad_rows import Bad, LeftOut, Object
from stillhouse.exchange.conversion import question_of
from stillhouse.exchange.mapping import RowMapper
from stillhouse.exchange.record import Record
from stillhouse.sources.stored import MappedSpec
from stillhouse.vocabulary.categories import PASS_THRESHOLDS
from stillhouse.vocabulary.ids import question_id
from stillhouse.vocabulary.rows import Question


def questions(
    spec: MappedSpec, rows: Iterable[tuple[int, Object | Bad]], unmapped: Counter[str]
) -> Iterator[tuple[int, Question | Bad | LeftOut]]:
    """The questions of numbered rows. Columns with values that nothing maps are counted in ``unmapped``."""
    for number, records in RowMapper(spec, unmapped).records(rows):
        if isinstance(records, list):
            record = best(records)
            own_id = record.question_id or question_id(record.messages, record.reference_answer)
            question = question_of(record, own_id, spec.license)
            yield number, replace(question, source=spec.name, original_response=record.text)
        else:
            yield number, records


def best(records: Sequence[Record]) -> Record:
    """The record of the first response that its data set calls right; the first of all if it calls none right."""
    return next((record for record in records if _passes(record)), records[0])


def _passes(record: Record) -> bool:
    return record.verify_score is not None and record.verify_score > PASS_THRESHOLDS[record.category]
