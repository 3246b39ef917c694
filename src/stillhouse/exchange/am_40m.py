"""The flat rows of AM-DeepSeek-Distilled-40M: one response to a row, with its score, perplexity and the models' pass rates.

``question`` is the user's text; a conversation of more turns, which the release does not document, is written there as JSON.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from stillhouse.exchange import record
from stillhouse.exchange.features import Feature, features
from stillhouse.exchange.record import Json, Lenient, Number, Record, Text, Unfit
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import Message

NAME = "am-40m"
LOST = record.NOWHERE
"""Fields of a record that have no place here."""
RATE = "pass_rate_"
MODELS = {
    "r1": "DeepSeek-R1", "7b": "DeepSeek-R1-Distill-Qwen-7B", "1.5b": "DeepSeek-R1-Distill-Qwen-1.5B",
}  # fmt: skip
"""What the release's pass rate columns are named after -> the model. Another model's column bears the model's own name."""
SHORT = {model: short for short, model in MODELS.items()}


class Row(Lenient):
    """One line."""

    question: str
    answer: Text = None
    question_source: Text = None
    answer_source: Text = None
    category: Text = None
    ground_truth: Text = None
    test_case: Json = None
    instruction_constrain: Json = None
    verify_score: Number = None
    ppl: Number = None
    model_name: Text = None


def columns(rated: Collection[str]) -> list[Feature]:
    """The columns with their types, one for the pass rate of each of the models ``rated``."""
    return [*features(Row), *({"name": name, "dtype": "float64"} for name in _rates(dict.fromkeys(rated, 0.0)))]


def decode(given: Mapping[str, Any], category: Category | None = None) -> Record:
    """The record of one row. Raises ValidationError, or Unfit."""
    row = Row.model_validate(given)
    if row.answer is None and (row.answer_source, row.verify_score, row.ppl, row.model_name) != (None,) * 4:
        msg = "answer: null, though the row has a source, a score or a model of one"
        raise Unfit(msg)
    think, answer = record.parsed(row.answer) if row.answer is not None else (None, None)
    return Record(
        _conversation(row.question) or [Message(role="user", content=row.question)],
        record.category_of(row.category, category), row.question_source, row.ground_truth, record.json_text(row.test_case),
        record.json_text(row.instruction_constrain), _pass_rates(row), row.answer, think, answer,
        record.model_of(row.model_name), record.sampling_of(row.answer_source), row.verify_score, row.ppl,
        ignored=tuple(each for each in record.unknown(row) if not each.startswith(RATE)),
    )  # fmt: skip


def encode(made: Record) -> dict[str, Any]:
    """The row of one record."""
    answered = made.text is not None
    return {
        "question": _question(made.messages), "answer": made.text, "question_source": made.source,
        "answer_source": record.answer_source_of(made.sampling_id) if answered else None,
        "category": record.CATEGORY_WORDS[made.category], "ground_truth": made.reference_answer, "test_case": made.test_cases,
        "instruction_constrain": made.constraints, **_rates(made.pass_rates), "verify_score": made.verify_score,
        "ppl": made.perplexity, "model_name": record.model_word(made.model) if answered else None,
    }  # fmt: skip


def _question(messages: list[Message]) -> str:
    """The text of a lone user turn; a conversation, or a text that would be taken for one, as JSON."""
    text = messages[0]["content"]
    lone = len(messages) == 1 and messages[0]["role"] == "user" and _conversation(text) is None
    return text if lone else json.dumps(messages, ensure_ascii=False)


def _conversation(question: str) -> list[Message] | None:
    """The conversation that ``_question`` made this text of; None where it is a user's text."""
    if not question.startswith("[{"):
        return None
    try:
        found = [Message(role=each["role"], content=each["content"]) for each in json.loads(question)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    texts = all(isinstance(text, str) for message in found for text in message.values())
    return found if texts and _question(found) == question else None


def _pass_rates(row: Row) -> dict[str, float]:
    rates = {name.removeprefix(RATE): value for name, value in (row.model_extra or {}).items() if name.startswith(RATE)}
    for short, value in rates.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1):
            msg = f"{RATE}{short}: {value!r} is no share between 0 and 1"
            raise Unfit(msg)
    return {MODELS.get(short, short): float(value) for short, value in rates.items() if value is not None}


def _rates(pass_rates: Mapping[str, float]) -> dict[str, float | None]:
    """The release's three columns in its order, then other models'."""
    known = {f"{RATE}{short}": pass_rates.get(model) for short, model in MODELS.items()}
    return known | {f"{RATE}{model}": rate for model, rate in sorted(pass_rates.items()) if model not in SHORT}
