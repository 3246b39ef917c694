"""The flat rows of AM-DeepSeek-Distilled-40M: one response per row, with its score, perplexity and the models' pass rates.

``question`` is the user's text; a conversation of more turns, which the release does not document, is written there as JSON.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from stillhouse.exchange import record as records
from stillhouse.exchange.features import Feature, features
from stillhouse.exchange.record import Json, Lenient, Number, Record, Text, Unfit
from stillhouse.exchange.thoughts import one_form
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import Message

NAME = "am-40m"
LOST = records.NOWHERE
"""Fields of a record that the schema has no column for."""
RATE = "pass_rate_"
MODELS = {
    "r1": "DeepSeek-R1", "7b": "DeepSeek-R1-Distill-Qwen-7B", "1.5b": "DeepSeek-R1-Distill-Qwen-1.5B",
}  # fmt: skip
"""Name in the release's pass rate columns -> the model. Columns of other models carry the model's own name."""
SHORT = {model: short for short, model in MODELS.items()}


class Am40mRow(Lenient):
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
    """The columns with their types, with a pass rate column for each model in ``rated``."""
    return [*features(Am40mRow), *({"name": name, "dtype": "float64"} for name in _rates(dict.fromkeys(rated, 0.0)))]


def decode(values: Mapping[str, Any], category: Category | None = None) -> Record:
    """The record of one row. Raises ValidationError, or Unfit."""
    row = Am40mRow.model_validate(values)
    if row.answer is None and (row.answer_source, row.verify_score, row.ppl, row.model_name) != (None,) * 4:
        msg = "answer: null, but the row has a source, a score or a model for it"
        raise Unfit(msg)
    text = None if row.answer is None else one_form(row.answer)
    think, answer = records.parsed(text) if text is not None else (None, None)
    return Record(
        _conversation(row.question) or [Message(role="user", content=row.question)],
        records.category_of(row.category, category), row.question_source, row.ground_truth, records.json_text(row.test_case),
        records.json_text(row.instruction_constrain), _pass_rates(row), text, think, answer,
        records.model_of(row.model_name), records.sampling_of(row.answer_source), row.verify_score, row.ppl,
        ignored=tuple(column for column in records.unknown(row) if not column.startswith(RATE)),
    )  # fmt: skip


def encode(record: Record) -> dict[str, Any]:
    """The row of one record."""
    answered = record.text is not None
    return {
        "question": _question(record.messages), "answer": record.text, "question_source": record.source,
        "answer_source": records.answer_source_of(record.sampling_id) if answered else None,
        "category": records.CATEGORY_WORDS[record.category], "ground_truth": record.reference_answer,
        "test_case": record.test_cases, "instruction_constrain": record.constraints,
        **_rates(record.pass_rates), "verify_score": record.verify_score, "ppl": record.perplexity,
        "model_name": records.model_word(record.model) if answered else None,
    }  # fmt: skip


def _question(messages: list[Message]) -> str:
    """The text of a single user turn; a conversation, or a text that looks like one, as JSON."""
    text = messages[0]["content"]
    single = len(messages) == 1 and messages[0]["role"] == "user" and _conversation(text) is None
    return text if single else json.dumps(messages, ensure_ascii=False)


def _conversation(question: str) -> list[Message] | None:
    """The conversation that ``_question`` wrote as this text; None for a user's text."""
    if not question.startswith("[{"):
        return None
    try:
        messages = [Message(role=turn["role"], content=turn["content"]) for turn in json.loads(question)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    texts = all(isinstance(text, str) for message in messages for text in message.values())
    return messages if texts and _question(messages) == question else None


def _pass_rates(row: Am40mRow) -> dict[str, float]:
    rates = {name.removeprefix(RATE): value for name, value in (row.model_extra or {}).items() if name.startswith(RATE)}
    for short, value in rates.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1):
            msg = f"{RATE}{short}: {value!r} is not a number between 0 and 1"
            raise Unfit(msg)
    return {MODELS.get(short, short): float(value) for short, value in rates.items() if value is not None}


def _rates(pass_rates: Mapping[str, float]) -> dict[str, float | None]:
    """The release's three columns in its order, then other models'."""
    known = {f"{RATE}{short}": pass_rates.get(model) for short, model in MODELS.items()}
    return known | {f"{RATE}{model}": rate for model, rate in sorted(pass_rates.items()) if model not in SHORT}
