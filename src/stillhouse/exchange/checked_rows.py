"""Check rows of your own against the columns of ``vocabulary.rows``, and compute the columns that were left out.

Columns that can be computed may be left out: ``question_id`` of a question, ``think`` and ``answer`` of a response; so may columns
that only say how a response was sampled (see ``DEFAULTS``).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Annotated, Any, Literal, get_type_hints

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from stillhouse.exchange import refusal
from stillhouse.exchange.bad_rows import Bad, Object
from stillhouse.vocabulary import ids
from stillhouse.vocabulary.rows import Question, Response, Row, Verified
from stillhouse.vocabulary.text import shortened
from stillhouse.vocabulary.transcript import opened, parse

CHECKED: dict[str, type[Row]] = {"questions": Question, "responses": Response, "verified": Verified}
DEFAULTS: dict[str, dict[str, Any]] = {
    "questions": {"question_id": None},
    "responses": {
        "prompt_kind": "question", "round": 1, "finish_reason": "stop", "prompt_tokens": 0, "completion_tokens": 0, "seed": 0,
        "sampling_id": "imported", "think": None, "answer": None,
    },
}  # fmt: skip


class ImportedTurn(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: Literal["system", "user", "assistant", "tool"]
    content: str


TYPES: dict[str, Any] = {"messages": Annotated[list[ImportedTurn], Field(min_length=1)]}
"""Columns that accept fewer values than their type."""
LOWEST = {"round": 1, "sample_index": 0}
BITS = {pa.int32(): 31, pa.int64(): 63}
SHOWN_LINES = 5
"""Bad lines named in an error."""


@dataclass
class Problems:
    """The bad lines of a file: the first ones, and how many."""

    first: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, line: int, problem: str) -> None:
        """Add a bad line; lines are counted from 1."""
        self.count += 1
        if len(self.first) < SHOWN_LINES:
            self.first.append(f"line {line}: {problem}")

    @property
    def text(self) -> str:
        """The first bad lines in one phrase, and how many there are."""
        more = f" ({self.count} bad lines in all)" if self.count > len(self.first) else ""
        return "; ".join(self.first) + more


def checked_rows(lines: Iterable[tuple[int, bytes | Object | Bad]], row_type_name: str, problems: Problems) -> Iterator[Any]:
    """The good rows of numbered lines, in order; bad lines are added to ``problems``. A line is JSON, or an object."""
    line_type, complete, row_type = _line_type(row_type_name), COMPLETE.get(row_type_name), CHECKED[row_type_name]
    seen: dict[tuple[Any, ...], int] = {}
    for number, line in lines:
        if isinstance(line, Bad):
            problems.add(number, line.detail)
            continue
        try:
            checked = line_type.model_validate(line) if isinstance(line, dict) else line_type.model_validate_json(line)
        except ValidationError as error:
            problems.add(number, refusal.describe(error))
            continue
        row = row_type(**(complete(dict(checked), checked.model_fields_set) if complete else dict(checked)))
        own_id: str = getattr(row, "question_id")  # noqa: B009 - every row type that is checked has one
        if flaw := ids.flaw(own_id):
            problems.add(number, f"question_id {shortened(own_id, 40)!r} {flaw}")
            continue
        key = tuple(getattr(row, name) for name in row_type.KEY)
        if (first := seen.setdefault(key, number)) != number:
            problems.add(number, f"same {', '.join(row_type.KEY)} as line {first}")
            continue
        yield row


@cache
def _line_type(row_type_name: str) -> type[BaseModel]:
    """A pydantic model of one line: exactly the row type's columns, strict, nested ones too."""
    row_type, hints = CHECKED[row_type_name], get_type_hints(CHECKED[row_type_name])
    columns: dict[str, Any] = {}
    for column in fields(row_type):
        hint = TYPES.get(column.name, hints[column.name])
        default = DEFAULTS.get(row_type_name, {}).get(column.name, ... if column.default is MISSING else column.default)
        bits = BITS.get(row_type.SCHEMA.field(column.name).type)
        if bits:
            hint = Annotated[hint, Field(ge=LOWEST.get(column.name, -(2**bits)), lt=2**bits)]
        columns[column.name] = (hint | None if default is None else hint, default)
    return create_model(row_type.__name__, __config__=ConfigDict(extra="forbid", strict=True), **columns)


def _complete_question(values: dict[str, Any], columns: set[str]) -> dict[str, Any]:
    values["messages"] = [turn.model_dump() for turn in values["messages"]]
    if values["question_id"] is None:
        values["question_id"] = ids.question_id(values["messages"], values["reference_answer"])
    return values


def _complete_response(values: dict[str, Any], columns: set[str]) -> dict[str, Any]:
    values["text"] = opened(values["text"])
    transcript = parse(values["text"])
    return {**values, **{name: getattr(transcript, name) for name in ("think", "answer") if name not in columns}}


COMPLETE: Mapping[str, Callable[[dict[str, Any], set[str]], dict[str, Any]]] = {
    "questions": _complete_question,
    "responses": _complete_response,
}
