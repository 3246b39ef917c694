"""The messages of AM-DeepSeek-R1-Distilled-1.4M: the question's turns with its reference or tests, the response with its parts.

The schema has no category: without the caller's word a question with tests is code, one with a reference math, another of several
turns multi_turn, the rest other. Who answered is the response's ``source``.
"""

import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import Field

from stillhouse.exchange import record, turns
from stillhouse.exchange.features import Feature, features
from stillhouse.exchange.record import Lenient, Record, Text
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import Message

NAME = "am-1.4m"
LOST = ("category", "constraints", "sampling_id", "verify_score", "perplexity", "pass_rates", *record.NOWHERE)
"""Fields of a record that have no place here."""


class Tests(Lenient):
    """Tests of a code question: Python that asserts, and the function it calls."""

    test_code: Text = None
    test_entry_point: Text = None


class Info(Lenient):
    """What is known of a turn; all columns on every turn, null where they do not apply."""

    source: Text = None
    reference_answer: Text = None
    test_case: Tests | str | None = None
    think_content: Text = None
    answer_content: Text = None


class Turn(Lenient):
    """One message."""

    role: str
    content: str
    info: Info | None = None


class Row(Lenient):
    """One line."""

    messages: Annotated[list[Turn], Field(min_length=1)]


def columns(rated: Collection[str]) -> list[Feature]:
    """The columns with their types; pass rates have none."""
    return features(Row)


def decode(given: Mapping[str, Any], category: Category | None = None) -> Record:
    """The record of one row. Raises ValidationError, or Unfit."""
    row = Row.model_validate(given)
    asked, text = turns.split([Message(role=turn.role, content=turn.content) for turn in row.messages])
    asking = row.messages[: len(asked)]
    info = row.messages[-1].info if text is not None else None
    think, answer = turns.told_apart(info, text) if text is not None else (None, None)
    reference, tests = turns.latest(asking, "reference_answer"), _test_cases(turns.latest(asking, "test_case"))
    return Record(
        asked, category or _category(asked, reference, tests), turns.latest(asking, "source"), reference, tests, None, {}, text,
        think, answer, record.model_of(info.source if info else None), ignored=tuple(record.unknown(row)),
    )  # fmt: skip


def encode(made: Record) -> dict[str, Any]:
    """The row of one record."""
    said = [(each, Info()) for each in made.messages]
    question = Info(source=made.source, reference_answer=made.reference_answer, test_case=_tests(made.test_cases))
    said[-1] = (said[-1][0], question)
    if made.text is not None:
        response = Info(source=record.model_word(made.model), think_content=made.think, answer_content=made.answer)
        said.append((Message(role="assistant", content=made.text), response))
    return {"messages": [{"role": each["role"], "content": each["content"], "info": info.model_dump()} for each, info in said]}


def _category(asked: list[Message], reference: Text, tests: Text) -> Category:
    if tests is not None:
        return "code"
    if reference is not None:
        return "math"
    return "multi_turn" if sum(each["role"] == "user" for each in asked) > 1 else "other"


def _test_cases(given: Tests | str | None) -> Text:
    """Our ``test_cases`` for a release's tests, which its card shows as a structure and types as a text."""
    if isinstance(given, str):
        loaded = _loaded(given)
        given = Tests.model_validate(loaded) if "test_code" in loaded else Tests(test_code=given)
    if given is None or given.test_code is None:
        return None
    if given.test_entry_point is None and "call_type" in _loaded(given.test_code):
        return given.test_code
    return _asserted(given.test_code, given.test_entry_point)


def _tests(test_cases: Text) -> Tests | None:
    """A release's tests for ours: ``test_code`` is Python where ours are one assertion, else our JSON itself."""
    if test_cases is None:
        return None
    loaded = _loaded(test_cases)
    cases, entry_point = loaded.get("assert_case"), loaded.get("fn_name")
    if isinstance(cases, list) and len(cases) == 1 and test_cases == _asserted(cases[0], entry_point):
        return Tests(test_code=cases[0], test_entry_point=entry_point)
    return Tests(test_code=test_cases)


def _asserted(code: str, entry_point: Text) -> str:
    return json.dumps(
        {"call_type": "assert", "fn_name": entry_point, "inputs": [], "outputs": [], "assert_case": [code], "language": "python"},
        ensure_ascii=False,
    )


def _loaded(text: str) -> dict[str, Any]:
    """The object a JSON text holds, empty for any other text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
