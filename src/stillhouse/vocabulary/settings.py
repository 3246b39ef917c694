"""The base of every config: what changes a result, and nothing else."""

from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer
from pydantic.config import JsonDict

OMIT_DEFAULT: JsonDict = {"omit_default": True}
"""Marks a field, as ``Field(..., json_schema_extra=OMIT_DEFAULT)``, that is dumped only if it differs from its default.

A field that names an extension is marked, so that configs without one keep the fingerprints they had before the field existed.
"""

MODEL: JsonDict = {"names_model": True}
"""Marks a field that names a model, as ``Field(..., json_schema_extra=MODEL)``: a reference in it is pinned before the stage runs.

Of a mapping from names to settings, the setting ``model`` names one.
"""


class StageConfig(BaseModel):
    """What changes a stage's result, and nothing else: no hardware, no URI, no credential."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_serializer(mode="wrap")
    def _without_marked_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = dump(self)
        return {name: value for name, value in values.items() if not self.is_left_out(name)}

    def in_full(self) -> dict[str, Any]:
        """The dump with the fields that it leaves out, for people to read."""
        return {name: getattr(self, name) for name in type(self).model_fields} | self.model_dump(mode="json")

    def is_left_out(self, name: str) -> bool:
        """Whether a dump leaves out this field: it is marked, and has its default."""
        field = type(self).model_fields[name]
        marked = isinstance(field.json_schema_extra, dict) and "omit_default" in field.json_schema_extra
        return marked and bool(getattr(self, name) == field.get_default(call_default_factory=True))
