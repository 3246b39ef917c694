"""The conversations of AM-Thinking-v1-Distilled: every turn with its info."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import Field

from stillhouse.exchange import record as records
from stillhouse.exchange import turns
from stillhouse.exchange.chats import OUR_ROLES
from stillhouse.exchange.features import Feature, features
from stillhouse.exchange.record import Json, Lenient, Number, Record, Text
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import Message

NAME = "conversations"
LOST = ("sampling_id", "pass_rates", *records.NOWHERE)
"""Fields of a record that the schema has no column for."""
WORDS = {"user": "human"}
"""Our role -> the schema's word, if they differ."""


class ConversationInfo(Lenient):
    """Facts about a turn; every turn has all columns, null if they do not apply."""

    source: Text = None
    category: Text = None
    ground_truth: Text = None
    test_case: Json = None
    instruction_constrain: Json = None
    think_content: Text = None
    answer_content: Text = None
    verify_score: Number = None
    model_name: Text = None
    ppl: Number = None


class ConversationTurn(Lenient):
    """One message."""

    speaker: str = Field(alias="from")
    value: str
    info: ConversationInfo | None = None


class ConversationRow(Lenient):
    """One line."""

    system: Text = None
    conversations: Annotated[list[ConversationTurn], Field(min_length=1)]


def columns(rated: Collection[str]) -> list[Feature]:
    """The columns with their types; pass rates have none."""
    return features(ConversationRow)


def decode(values: Mapping[str, Any], category: Category | None = None) -> Record:
    """The record of one row. Raises ValidationError, or Unfit."""
    row = ConversationRow.model_validate(values)
    messages = [Message(role=OUR_ROLES.get(turn.speaker, turn.speaker), content=turn.value) for turn in row.conversations]
    question, text = turns.split(messages)
    system = [Message(role="system", content=row.system)] if row.system else []
    question_turns = row.conversations[: len(question)]
    info = row.conversations[-1].info if text is not None else None
    think, answer = turns.think_and_answer(info, text) if text is not None else (None, None)
    return Record(
        [*system, *question], records.category_of(turns.latest(question_turns, "category"), category),
        turns.latest(question_turns, "source"), turns.latest(question_turns, "ground_truth"),
        records.json_text(turns.latest(question_turns, "test_case")),
        records.json_text(turns.latest(question_turns, "instruction_constrain")), {}, text, think, answer,
        records.model_of(info.model_name if info else None), verify_score=info.verify_score if info else None,
        perplexity=info.ppl if info else None, ignored=tuple(records.unknown(row)),
    )  # fmt: skip


def encode(record: Record) -> dict[str, Any]:
    """The row of one record."""
    first = record.messages[0]
    # An empty system text would be read as a missing one.
    system = first["content"] if first["role"] == "system" and first["content"] and len(record.messages) > 1 else None
    question_messages = record.messages[1:] if system else record.messages
    question = ConversationInfo(
        source=record.source, category=records.CATEGORY_WORDS[record.category], ground_truth=record.reference_answer,
        test_case=record.test_cases, instruction_constrain=record.constraints,
    )  # fmt: skip
    response = ConversationInfo(
        think_content=record.think, answer_content=record.answer, verify_score=record.verify_score,
        model_name=records.model_word(record.model), ppl=record.perplexity,
    )  # fmt: skip
    rows = [(WORDS.get(turn["role"], turn["role"]), turn["content"], ConversationInfo()) for turn in question_messages]
    rows[-1] = (*rows[-1][:2], question)
    if record.text is not None:
        rows.append(("assistant", record.text, response))
    return {
        "system": system,
        "conversations": [{"from": speaker, "value": value, "info": info.model_dump()} for speaker, value, info in rows],
    }
