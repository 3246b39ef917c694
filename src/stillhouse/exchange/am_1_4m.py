"""The messages of AM-DeepSeek-R1-Distilled-1.4M: the question's turns with its reference or tests, the response with its parts.

The schema has no category. Unless the caller gives one, a question with tests is code, one with a reference math, or science if
the reference is a sentence, one of several user turns multi_turn, any other ``other``. The response's ``source`` is the model that
answered.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import Field

from stillhouse.exchange import published_tests, turns
from stillhouse.exchange import record as records
from stillhouse.exchange.features import Feature, features
from stillhouse.exchange.record import Lenient, Record, Text
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import Message

NAME = "am-1.4m"
LOST = ("category", "constraints", "sampling_id", "verify_score", "perplexity", "pass_rates", *records.NOWHERE)
"""Fields of a record that the schema has no column for."""
SOURCES: dict[str, Category] = {"natural_reasoning": "science"}
"""Source of a question with a reference -> its category, where the reference's form may mislead."""
PROSE_WORDS = 5
_FORMULA = re.compile(r"\$[^$]*\$|\\\(.*?\\\)|\\\[.*?\\\]|\\[A-Za-z]+(?:\{[^{}]*\})*", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]{2,}")


class PythonTests(Lenient):
    """Tests of a code question: Python assertions, and the function they call."""

    test_code: Text = None
    test_entry_point: Text = None


class Am14mInfo(Lenient):
    """Facts about a turn; every turn has all columns, null if they do not apply."""

    source: Text = None
    reference_answer: Text = None
    test_case: PythonTests | str | None = None
    think_content: Text = None
    answer_content: Text = None


class Am14mTurn(Lenient):
    """One message."""

    role: str
    content: str
    info: Am14mInfo | None = None


class Am14mRow(Lenient):
    """One line."""

    messages: Annotated[list[Am14mTurn], Field(min_length=1)]


def columns(rated: Collection[str]) -> list[Feature]:
    """The columns with their types; pass rates have none."""
    return features(Am14mRow)


def decode(values: Mapping[str, Any], category: Category | None = None) -> Record:
    """The record of one row. Raises ValidationError, or Unfit."""
    row = Am14mRow.model_validate(values)
    question, text = turns.split([Message(role=turn.role, content=turn.content) for turn in row.messages])
    question_turns = row.messages[: len(question)]
    info = row.messages[-1].info if text is not None else None
    think, answer = turns.think_and_answer(info, text) if text is not None else (None, None)
    source = turns.latest(question_turns, "source")
    reference, tests = turns.latest(question_turns, "reference_answer"), _test_cases(turns.latest(question_turns, "test_case"))
    return Record(
        question, category or _category(question, source, reference, tests), source, reference, tests,
        None, {}, text, think, answer, records.model_of(info.source if info else None), ignored=tuple(records.unknown(row)),
    )  # fmt: skip


def encode(record: Record) -> dict[str, Any]:
    """The row of one record."""
    turns_with_info = [(message, Am14mInfo()) for message in record.messages]
    question = Am14mInfo(source=record.source, reference_answer=record.reference_answer, test_case=_tests(record.test_cases))
    turns_with_info[-1] = (turns_with_info[-1][0], question)
    if record.text is not None:
        response = Am14mInfo(source=records.model_word(record.model), think_content=record.think, answer_content=record.answer)
        turns_with_info.append((Message(role="assistant", content=record.text), response))
    return {
        "messages": [
            {"role": message["role"], "content": message["content"], "info": info.model_dump()} for message, info in turns_with_info
        ]
    }


def is_prose(reference: str) -> bool:
    """Whether a reference is a sentence, which a judge compares and no rule: at least PROSE_WORDS words outside of formulas."""
    return len(_WORD.findall(_FORMULA.sub(" ", reference))) >= PROSE_WORDS


def _category(question: list[Message], source: Text, reference: Text, tests: Text) -> Category:
    if tests is not None:
        return "code"
    if reference is not None:
        return SOURCES.get(source or "", "science" if is_prose(reference) else "math")
    return "multi_turn" if sum(message["role"] == "user" for message in question) > 1 else "other"


def _test_cases(tests: PythonTests | str | None) -> Text:
    """Our ``test_cases`` for a release's tests: its card shows a structure but declares a text."""
    if isinstance(tests, str):
        loaded = _loaded(tests)
        tests = PythonTests.model_validate(loaded) if "test_code" in loaded else PythonTests(test_code=tests)
    if tests is None or tests.test_code is None:
        return None
    if tests.test_entry_point is None and "call_type" in _loaded(tests.test_code):
        return tests.test_code
    return published_tests.from_code(tests.test_code, tests.test_entry_point)


def _tests(test_cases: Text) -> PythonTests | None:
    """A release's tests for ours: one Python assertion as ``test_code``, anything else as our JSON."""
    if test_cases is None:
        return None
    loaded = _loaded(test_cases)
    code = published_tests.original_code(loaded, test_cases)
    if code is None:
        return PythonTests(test_code=test_cases)
    return PythonTests(test_code=code, test_entry_point=published_tests.entry_point(loaded))


def _loaded(text: str) -> dict[str, Any]:
    """The object in a JSON text; empty for any other text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
