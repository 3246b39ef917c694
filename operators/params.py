"""Stage Config -> Params of the trigger form; Params -> the JSON of what was set there.

The form repeats a Config's bounds and help texts, so that it refuses what the stage would refuse. An empty field means "as the
recipe says".
"""

import os
from collections.abc import Collection
from typing import Any

from airflow.sdk import Param
from pydantic import BaseModel

SCALARS = ("integer", "number", "string", "boolean")
KEPT = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "enum")


def profiles() -> list[str]:
    """The folders of recipes that a run may take: ``STILLHOUSE_PROFILES``, by commas, the default first."""
    return os.environ.get("STILLHOUSE_PROFILES", "laptop,smollm2,toy").split(",")


def form(task: str, config: type[BaseModel], without: Collection[str] = ()) -> dict[str, Param]:
    """A Param ``{task}__{field}`` for every scalar field of the config, in a section of their own."""
    return {
        key(task, field): Param(None, section=task, title=field, **schema)
        for field, schema in _scalars(config).items()
        if field not in without
    }


def overrides(task: str, config: type[BaseModel], without: Collection[str] = ()) -> str:
    """A template that renders the JSON object of those of ``form``'s Params that were given a value."""
    pairs = ", ".join(f"'{field}': params['{key(task, field)}']" for field in _scalars(config) if field not in without)
    return f"{{{{ dict({{{pairs}}}.items() | rejectattr(1, 'none')) | tojson }}}}"


def key(task: str, field: str) -> str:
    """The Param's name: ``sft_1__learning_rate``."""
    return f"{task.replace('-', '_')}__{field}"


def _scalars(config: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """The JSON schema of each field that a form's single input can hold, made to allow nothing too."""
    properties = config.model_json_schema(mode="validation").get("properties", {})
    found = {field: _nullable(schema) for field, schema in properties.items()}
    return {field: schema for field, schema in found.items() if schema}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    options = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    if len(options) != 1 or options[0].get("type") not in SCALARS:
        return {}
    only = options[0]
    kept = {name: only[name] for name in KEPT if name in only}
    if "enum" in kept:
        kept["enum"] = [*kept["enum"], None]
    default = schema.get("default")
    note = "Empty: as the recipe says." if default is None else f"Empty: as the recipe says; the stage's own default is {default}."
    help_text = " ".join(filter(None, (schema.get("description"), _bounds(only), note)))
    return {"type": ["null", only["type"]], "description": help_text, **kept}


def _bounds(schema: dict[str, Any]) -> str:
    """The bounds in words: the form only enforces them."""
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    given = [f"{sign} {schema[name]}" for name, sign in signs.items() if name in schema]
    return f"Must be {' and '.join(given)}." if given else ""
