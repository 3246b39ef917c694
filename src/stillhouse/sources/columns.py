"""A row of somebody's data set -> a question, by the paths at which the row keeps what a question needs."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Self

from pydantic import Field, model_validator

from stillhouse.exchange import turns
from stillhouse.exchange.conversations import ROLES
from stillhouse.exchange.files import Bad, Object, shown
from stillhouse.exchange.record import Unfit
from stillhouse.sources.spec import StoredSpec
from stillhouse.vocabulary.categories import CATEGORIES, Category
from stillhouse.vocabulary.ids import question_id
from stillhouse.vocabulary.rows import Message, Question
from stillhouse.vocabulary.settings import StageConfig

MISSING = object()
MAYBE = "?"


class Columns(StageConfig):
    """Where a row keeps what: dotted paths such as ``info.reference_answer`` or ``messages.0.content``.

    A column that is named here has to be there in every row, be it null; one whose path ends in ``?`` may be missing.
    """

    prompt: str | None = None
    """The question as a text: one turn of the user."""
    messages: str | None = None
    """The question as turns, ``role`` and ``content`` or ``from`` and ``value``; a last turn of the assistant is a response."""
    reference_answer: str | None = None
    """The reference; a number is taken as its text."""
    test_cases: str | None = None
    """Tests, as JSON or the text of it (see design: ``call_type``, ``inputs``, …)."""
    constraints: str | None = None
    """Constraints, as JSON or the text of it (IFEval's form)."""
    original_response: str | None = None
    """The response the question comes with."""
    category: str | None = None
    """What ``categories`` turns into our category."""
    language: str | None = None
    """The language's code."""
    difficulty_label: str | None = None
    """How hard the data set says it is."""

    @model_validator(mode="after")
    def _one_prompt(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            msg = "either prompt or messages says where the question is"
            raise ValueError(msg)
        return self


class MappedSpec(StoredSpec):
    """A source whose rows have columns of their own."""

    columns: Columns
    """Where a row keeps what a question needs."""
    category: Category | None = None
    """The category of all its questions, unless ``columns.category`` tells."""
    categories: dict[str, Category] = Field(default_factory=dict)
    """What ``columns.category`` says -> our category; our own names need no entry."""

    @model_validator(mode="after")
    def _one_category(self) -> Self:
        if (self.category is None) == (self.columns.category is None):
            msg = "either category or columns.category says what the questions are"
            raise ValueError(msg)
        return self


def questions(spec: MappedSpec, rows: Iterable[tuple[int, Object | Bad]]) -> Iterator[tuple[int, Question | Bad]]:
    """The questions of the rows, with their numbers; reasons ``bad_column`` (missing), ``bad_type``, ``bad_value``."""
    for number, row in rows:
        if isinstance(row, Bad):
            yield number, row
            continue
        try:
            yield number, _question(spec, row)
        except Unfit as unfit:
            yield number, Bad(unfit.reason, str(unfit), shown(row))


def _question(spec: MappedSpec, row: Object) -> Question:
    columns = spec.columns
    messages, response = _messages(columns, row)
    reference = _text(row, columns.reference_answer, numbers=True)
    return Question(
        question_id(messages, reference), spec.category or _category(spec, row), messages, reference,
        _json(row, columns.test_cases), _json(row, columns.constraints),
        response if columns.original_response is None else _text(row, columns.original_response), spec.name, spec.license,
        _text(row, columns.language), _text(row, columns.difficulty_label, numbers=True),
    )  # fmt: skip


def _messages(columns: Columns, row: Object) -> tuple[list[Message], str | None]:
    if columns.prompt is not None:
        return [{"role": "user", "content": _required(columns.prompt, _text(row, columns.prompt))}], None
    path = str(columns.messages)
    said = _required(path, _value(row, path))
    if not isinstance(said, list):
        raise _mistyped(path, said, "a list of turns")
    return turns.split([_turn(path, each) for each in said])


def _turn(path: str, given: Any) -> Message:
    turn = given if isinstance(given, dict) else {}
    role, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
    if not isinstance(role, str) or not isinstance(content, str):
        raise _mistyped(path, given, "turns of role and content")
    return {"role": ROLES.get(role, role), "content": content}


def _category(spec: MappedSpec, row: Object) -> Category:
    path = str(spec.columns.category)
    word: str = _required(path, _text(row, path))
    known: dict[str, Category] = {name: name for name in CATEGORIES} | spec.categories
    if word not in known:
        msg = f"{path}: {word!r} is no category of ours and not in categories"
        raise Unfit(msg)
    return known[word]


def _value(row: Object, path: str) -> Any:
    """What lies at the path; None where a path that ends in ``?`` leads nowhere, or a parent is null."""
    value: Any = row
    for part in path.removesuffix(MAYBE).split("."):
        if isinstance(value, dict):
            value = value.get(part, MISSING)
        elif isinstance(value, list) and part.isdecimal():
            value = value[int(part)] if int(part) < len(value) else MISSING
        else:
            value = None if value is None else MISSING
        if value is MISSING:
            if path.endswith(MAYBE):
                return None
            msg = f"{path}: missing; there are {', '.join(row)}"
            raise Unfit(msg, "bad_column")
    return value


def _required(path: str, value: Any) -> Any:
    if value is None:
        msg = f"{path}: null"
        raise Unfit(msg)
    return value


def _text(row: Object, path: str | None, *, numbers: bool = False) -> str | None:
    value = None if path is None else _value(row, path)
    if numbers and isinstance(value, int | float):
        return json.dumps(value)
    if value is not None and not isinstance(value, str):
        raise _mistyped(str(path), value, "a text")
    return value


def _json(row: Object, path: str | None) -> str | None:
    value = None if path is None else _value(row, path)
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _mistyped(path: str, value: Any, wanted: str) -> Unfit:
    return Unfit(f"{path}: {type(value).__name__}, not {wanted}", "bad_type")
