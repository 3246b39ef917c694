"""The public schemas by name, one module each."""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from stillhouse.exchange import am_1_4m, am_40m, conversations
from stillhouse.exchange.features import Feature
from stillhouse.exchange.record import Record


class Schema(Protocol):
    """A public schema: how one of its rows becomes a record, and a record one of its rows."""

    NAME: str
    """The name given to ``--as``."""
    LOST: tuple[str, ...]
    """Fields of a record that the schema has no column for."""

    def columns(self, rated: Collection[str], /) -> list[Feature]:
        """The columns with their types; ``rated`` are the models that have pass rates."""
        ...

    def decode(self, values: Mapping[str, Any], category: str | None = None, /) -> Record:
        """The record of one row. Raises ValidationError, or Unfit."""
        ...

    def encode(self, record: Record, /) -> dict[str, Any]:
        """The row of one record."""
        ...


SCHEMAS: dict[str, Schema] = {schema.NAME: schema for schema in (am_1_4m, am_40m, conversations)}
"""By the name given to ``--as``."""
