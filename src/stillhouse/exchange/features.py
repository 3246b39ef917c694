"""Derive from a schema's row the column types that Hugging Face reads from a dataset card.

Without them its loader infers types from the first megabytes, and fails on a file whose tests or scores begin later.
"""

import typing
from typing import Any

from pydantic import BaseModel

Feature = dict[str, Any]


def features(row: type[BaseModel]) -> list[Feature]:
    """The columns of a row, or of a structure in it."""
    return [{"name": info.alias or name, **_type(info.annotation)} for name, info in row.model_fields.items()]


def _type(annotation: Any) -> Feature:
    """A column's type: a structure if it may be one, else a list of structures, a number or a text."""
    kinds = [kind for kind in _kinds(annotation) if kind is not type(None)]
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return {"struct": features(kind)}
    for kind in kinds:
        turns = typing.get_args(kind)
        if typing.get_origin(kind) is list and isinstance(turns[0], type) and issubclass(turns[0], BaseModel):
            return {"list": features(turns[0])}
    return {"dtype": "float64" if float in kinds else "string"}


def _kinds(annotation: Any) -> list[Any]:
    """The types a column may have, with unions and annotations resolved."""
    if hasattr(annotation, "__metadata__"):
        return _kinds(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in {typing.Union, typing.get_origin(int | None)}:
        return [kind for member in typing.get_args(annotation) for kind in _kinds(member)]
    return [annotation]
