"""Turn a row of any data set into a question, by the paths of its columns."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from stillhouse.exchange import turns
from stillhouse.exchange.conversations import ROLES
from stillhouse.exchange.files import Bad, Object, shown
from stillhouse.exchange.record import Unfit
from stillhouse.sources.config import ColumnPaths, MappedSpec
from stillhouse.vocabulary.categories import CATEGORIES, Category
from stillhouse.vocabulary.ids import question_id
from stillhouse.vocabulary.rows import Message, Question

MISSING = object()
MAYBE = "?"


def questions(spec: MappedSpec, rows: Iterable[tuple[int, Object | Bad]]) -> Iterator[tuple[int, Question | Bad]]:
    """The questions of numbered rows; reasons for a bad row: ``bad_column`` (missing), ``bad_type``, ``bad_value``."""
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


def _messages(columns: ColumnPaths, row: Object) -> tuple[list[Message], str | None]:
    if columns.prompt is not None:
        return [{"role": "user", "content": _required(columns.prompt, _text(row, columns.prompt))}], None
    path = str(columns.messages)
    conversation = _required(path, _value(row, path))
    if not isinstance(conversation, list):
        raise _mistyped(path, conversation, "a list of turns")
    return turns.split([_turn(path, turn) for turn in conversation])


def _turn(path: str, value: Any) -> Message:
    turn = value if isinstance(value, dict) else {}
    role, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
    if not isinstance(role, str) or not isinstance(content, str):
        raise _mistyped(path, value, "turns of role and content")
    return {"role": ROLES.get(role, role), "content": content}


def _category(spec: MappedSpec, row: Object) -> Category:
    path = str(spec.columns.category)
    word: str = _required(path, _text(row, path))
    known: dict[str, Category] = {name: name for name in CATEGORIES} | spec.categories
    if word not in known:
        msg = f"{path}: {word!r} is not a category and has no entry in categories"
        raise Unfit(msg)
    return known[word]


def _value(row: Object, path: str) -> Any:
    """The value at the path; None if an optional path (``?``) leads nowhere, or a parent is null."""
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
            msg = f"{path}: missing; the row has {', '.join(row)}"
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
