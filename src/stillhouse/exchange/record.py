"""One row of a release, between our rows and the public schemas: a question, and usually a response to it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from stillhouse.vocabulary.categories import FACTS, Category
from stillhouse.vocabulary.rows import Message
from stillhouse.vocabulary.transcript import parse

Text = str | None
Number = Annotated[float, Field(allow_inf_nan=False)] | None
Json = str | dict[str, Any] | list[Any] | None
"""JSON as text, as releases have it, or as a value."""

CATEGORY_WORDS: dict[Category, str] = {category: facts.release_words[0] for category, facts in FACTS.items()}
"""Our category -> the word that we export."""
RELEASE_CATEGORIES: dict[str, Category] = {word: category for category, facts in FACTS.items() for word in facts.release_words}
"""Word of a release, in lower case -> our category."""
NOWHERE = ("license", "language", "difficulty_label", "original_response")
"""Columns of a question that no schema has a column for; a release's card counts them."""
UNNAMED = "unknown"
"""The ``model`` of a response whose release does not name it."""
IMPORTED = "imported"
"""The ``sampling_id`` of a response whose release does not say where it came from."""
OUR_SAMPLING = "stillhouse:"


class Lenient(BaseModel):
    """Part of a release's row: known columns are strict, others are only counted, see ``unknown``."""

    model_config = ConfigDict(extra="allow", strict=True, populate_by_name=True)


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a release. Without ``text`` it is only a question, and the response fields keep their defaults."""

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
    split: str | None = None
    """The split of ``selected`` that the row is exported from."""
    ignored: tuple[str, ...] = ()
    """Columns of the row that are not in the schema."""
    question_id: str | None = None
    """The id of the question: the data set's own one on import, ours on export. No public schema has a column for it."""
    level: int | None = None
    """The difficulty level, 1 to 3, of a data set that states it."""


class Unfit(Exception):
    """A row with the right columns but values that make no sense. ``reason`` is why it is dropped."""

    def __init__(self, detail: str, reason: str = "bad_value") -> None:
        super().__init__(detail)
        self.reason = reason


def parsed(text: str) -> tuple[Text, Text]:
    """A response's thinking and answer, for schemas that keep them in one text."""
    transcript = parse(text)
    return transcript.think, transcript.answer


def category_of(word: Text, fixed: Category | None) -> Category:
    """Our category for a release's word; ``fixed``, the caller's choice, wins. Raises Unfit for an unknown word."""
    category = fixed or RELEASE_CATEGORIES.get((word or "").strip().lower())
    if category is None:
        msg = f"category {word!r} is not one of {', '.join(RELEASE_CATEGORIES)}"
        raise Unfit(msg)
    return category


def json_text(value: Json) -> Text:
    """JSON as text; a text is returned unchanged."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def sampling_of(answer_source: Text) -> str:
    """A ``sampling_id`` that keeps a release's ``answer_source``; ``answer_source_of`` reverses it."""
    if answer_source is None:
        return IMPORTED
    ours = answer_source.removeprefix(OUR_SAMPLING)
    if ours != answer_source and not ours.startswith(IMPORTED):
        return ours
    return f"{IMPORTED}:{answer_source}"


def answer_source_of(sampling_id: str) -> Text:
    """A release's ``answer_source``: the one it was imported with, or our own sampling id."""
    if sampling_id == IMPORTED:
        return None
    original = sampling_id.removeprefix(f"{IMPORTED}:")
    return original if original != sampling_id else OUR_SAMPLING + sampling_id


def model_of(word: Text) -> str:
    """The ``model`` of a response, from the release's word for it."""
    return UNNAMED if word is None else word


def model_word(model: str) -> Text:
    """The release's word for a model; None if the release it came from did not name it."""
    return None if model == UNNAMED else model


def unknown(part: BaseModel, where: str = "") -> Iterator[str]:
    """The columns of a row that are not in its schema, as dotted paths."""
    yield from (f"{where}{name}" for name in part.model_extra or ())
    for name, value in vars(part).items():
        for nested in value if isinstance(value, list) else [value]:
            if isinstance(nested, BaseModel):
                yield from unknown(nested, f"{where}{name}.")
