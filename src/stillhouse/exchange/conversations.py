"""The conversations of AM-Thinking-v1-Distilled: every turn with its info."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import Field

from stillhouse.exchange import record, turns
from stillhouse.exchange.features import Feature, features
from stillhouse.exchange.record import Json, Lenient, Number, Record, Text
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import Message

NAME = "conversations"
LOST = ("sampling_id", "pass_rates", *record.NOWHERE)
"""Fields of a record that have no place here."""
ROLES = {"human": "user", "gpt": "assistant"}
WORDS = {"user": "human"}
"""Our role -> the schema's word, where it is another."""


class Info(Lenient):
    """What is known of a turn; all columns on every turn, null where they do not apply."""

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


class Turn(Lenient):
    """One message."""

    speaker: str = Field(alias="from")
    value: str
    info: Info | None = None


class Row(Lenient):
    """One line."""

    system: Text = None
    conversations: Annotated[list[Turn], Field(min_length=1)]


def columns(rated: Collection[str]) -> list[Feature]:
    """The columns with their types; pass rates have none."""
    return features(Row)


def decode(given: Mapping[str, Any], category: Category | None = None) -> Record:
    """The record of one row. Raises ValidationError, or Unfit."""
    row = Row.model_validate(given)
    said = [Message(role=ROLES.get(turn.speaker, turn.speaker), content=turn.value) for turn in row.conversations]
    asked, text = turns.split(said)
    system = [Message(role="system", content=row.system)] if row.system else []
    asking = row.conversations[: len(asked)]
    info = row.conversations[-1].info if text is not None else None
    think, answer = turns.told_apart(info, text) if text is not None else (None, None)
    return Record(
        [*system, *asked], record.category_of(turns.latest(asking, "category"), category), turns.latest(asking, "source"),
        turns.latest(asking, "ground_truth"), record.json_text(turns.latest(asking, "test_case")),
        record.json_text(turns.latest(asking, "instruction_constrain")), {}, text, think, answer,
        record.model_of(info.model_name if info else None), verify_score=info.verify_score if info else None,
        perplexity=info.ppl if info else None, ignored=tuple(record.unknown(row)),
    )  # fmt: skip


def encode(made: Record) -> dict[str, Any]:
    """The row of one record."""
    first = made.messages[0]
    # An empty system text would read as none.
    system = first["content"] if first["role"] == "system" and first["content"] and len(made.messages) > 1 else None
    asked = made.messages[1:] if system else made.messages
    question = Info(
        source=made.source, category=record.CATEGORY_WORDS[made.category], ground_truth=made.reference_answer,
        test_case=made.test_cases, instruction_constrain=made.constraints,
    )  # fmt: skip
    response = Info(
        think_content=made.think, answer_content=made.answer, verify_score=made.verify_score,
        model_name=record.model_word(made.model), ppl=made.perplexity,
    )  # fmt: skip
    said = [(WORDS.get(each["role"], each["role"]), each["content"], Info()) for each in asked]
    said[-1] = (*said[-1][:2], question)
    if made.text is not None:
        said.append(("assistant", made.text, response))
    return {
        "system": system,
        "conversations": [{"from": speaker, "value": value, "info": info.model_dump()} for speaker, value, info in said],
    }
