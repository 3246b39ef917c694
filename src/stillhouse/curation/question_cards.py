"""What the details of dropped questions say of the question kept instead: its id, and the beginnings of its text and answer.

Shards hand these on with the hashes, so that whoever decides over all questions need not read their texts.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from stillhouse.curation.normalised import user_text
from stillhouse.vocabulary.rows import Question
from stillhouse.vocabulary.text import shortened

SHOWN_CHARS = 100
"""Characters of a question's text or answer that a card shows."""
SCHEMA = pa.schema([("question_id", pa.string()), ("text", pa.string()), ("answer", pa.string())])


class QuestionCard(NamedTuple):
    """One question."""

    question_id: str
    text: str
    answer: str


def verified_by(question: Question) -> tuple[str | None, str | None, str | None]:
    """What an answer to the question is verified by."""
    return question.reference_answer, question.test_cases, question.constraints


def cards(table: pa.Table) -> Iterator[QuestionCard]:
    """The cards of a table of questions, or of one that ``as_table`` made."""
    if table.schema.equals(SCHEMA):
        return (QuestionCard(**row) for row in table.to_pylist())
    return (_card(Question(**row)) for row in table.to_pylist())


def as_table(questions: pa.Table) -> pa.Table:
    """The cards of a table of questions, as a table."""
    columns = zip(*cards(questions), strict=True) if len(questions) else ((), (), ())
    return pa.table(dict(zip(SCHEMA.names, map(list, columns), strict=True)), schema=SCHEMA)


def _card(question: Question) -> QuestionCard:
    answer = " ".join(filter(None, verified_by(question)))
    return QuestionCard(question.question_id, *(shortened(text, SHOWN_CHARS) for text in (user_text(question.messages), answer)))
