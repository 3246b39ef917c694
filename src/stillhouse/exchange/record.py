"""What one row of a release says: a question, and mostly a response to it; the middle between our rows and the public schemas."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import Message
from stillhouse.vocabulary.transcript import parse

Text = str | None
Number = Annotated[float, Field(allow_inf_nan=False)] | None
Json = str | dict[str, Any] | list[Any] | None
"""JSON as a text, as releases have it, or as itself."""

CATEGORY_WORDS: dict[Category, str] = {
    "math": "math", "code": "code", "science": "science", "instruction_following": "instruction follow",
    "multi_turn": "multi-turn", "other": "other",
}  # fmt: skip
"""Our category -> the releases' word for it. ``multi-turn`` is ours: the 40M release puts those under ``other``."""
CATEGORIES: dict[str, Category] = {word: category for category, word in CATEGORY_WORDS.items()} | {
    "if": "instruction_following", "instruction following": "instruction_following",
    "instruction_following": "instruction_following", "multi_turn": "multi_turn", "multiturn": "multi_turn",
}  # fmt: skip
NOWHERE = ("license", "language", "difficulty_label", "original_response")
"""Columns of a question that no schema has a place for: a release's card counts them."""
UNNAMED = "unknown"
"""The ``model`` of a response whose release does not say who answered."""
IMPORTED = "imported"
"""The ``sampling_id`` of a response whose release does not say where it came from."""
OUR_SAMPLING = "stillhouse:"


class Lenient(BaseModel):
    """Part of a release's row: known columns are strict, others are counted, see ``unknown``."""

    model_config = ConfigDict(extra="allow", strict=True, populate_by_name=True)


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a release. Without ``text`` it is a question alone, and what follows says nothing."""

    messages: list[Message]
    category: Category
    source: str | None = None
    reference_answer: str | None = None
    test_cases: str | None = None
    constraints: str | None = None
    pass_rates: Mapping[str, float] = field(default_factory=dict)
    """By model."""
    text: str | None = None
    think: str | None = None
    answer: str | None = None
    model: str = UNNAMED
    sampling_id: str = IMPORTED
    verify_score: float | None = None
    perplexity: float | None = None
    license: str | None = None
    language: str | None = None
    difficulty_label: str | None = None
    original_response: str | None = None
    ignored: tuple[str, ...] = ()
    """Columns of the row that the schema does not have."""


class Unfit(Exception):
    """A row that has the right columns but not their meaning. ``reason`` is what it is dropped for."""

    def __init__(self, detail: str, reason: str = "bad_value") -> None:
        super().__init__(detail)
        self.reason = reason


def parsed(text: str) -> tuple[Text, Text]:
    """A response's thinking and answer, where the schema does not tell them apart."""
    made = parse(text)
    return made.think, made.answer


def category_of(word: Text, fixed: Category | None) -> Category:
    """Our category for a release's word; ``fixed`` is the caller's and wins. Raises Unfit for a word that none has."""
    found = fixed or CATEGORIES.get((word or "").strip().lower())
    if found is None:
        msg = f"category {word!r} is none of {', '.join(CATEGORIES)}"
        raise Unfit(msg)
    return found


def json_text(value: Json) -> Text:
    """JSON as a text: a text stays what it is."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def sampling_of(answer_source: Text) -> str:
    """The ``sampling_id`` that keeps a release's word on where a response came from; ``answer_source_of`` gives it back."""
    if answer_source is None:
        return IMPORTED
    ours = answer_source.removeprefix(OUR_SAMPLING)
    if ours != answer_source and not ours.startswith(IMPORTED):
        return ours
    return f"{IMPORTED}:{answer_source}"


def answer_source_of(sampling_id: str) -> Text:
    """The release's word on where a response came from; of our own sampling its id."""
    if sampling_id == IMPORTED:
        return None
    given = sampling_id.removeprefix(f"{IMPORTED}:")
    return given if given != sampling_id else OUR_SAMPLING + sampling_id


def model_of(word: Text) -> str:
    """The ``model`` of a response, from the release's word for it."""
    return UNNAMED if word is None else word


def model_word(model: str) -> Text:
    """The release's word for a model; None where the release it came from had none."""
    return None if model == UNNAMED else model


def unknown(part: BaseModel, where: str = "") -> Iterator[str]:
    """The columns of a row that its schema does not have, dotted."""
    yield from (f"{where}{name}" for name in part.model_extra or ())
    for name, value in vars(part).items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, BaseModel):
                yield from unknown(each, f"{where}{name}.")
