"""Stage Config -> Params of the trigger form; Params -> the JSON of what was set there.

The form repeats a Config's bounds and help texts, so that it refuses what the stage would refuse. An empty field means "as the
recipe says".
"""

import os
from collections.abc import Collection
from typing import Any

from airflow.sdk import Param
from pydantic import BaseModel

from operators.templates import Template
from stillhouse import stages

SCALARS = ("integer", "number", "string", "boolean")
KEPT = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "enum")


def profiles() -> list[str]:
    """The folders of recipes that a run may take: ``STILLHOUSE_PROFILES``, by commas, the default first."""
    return os.environ.get("STILLHOUSE_PROFILES", "laptop,smollm2,toy").split(",")


def form(recipe: str) -> dict[str, Param]:
    """The Params of a recipe such as ``sft-1``: those of its stage's Config that a form may set, in a section of their own."""
    return params_of(recipe, *_settable(recipe))


def overrides(recipe: str) -> Template:
    """The template of what the form sets for a recipe."""
    return overrides_of(recipe, *_settable(recipe))


def params_of(section: str, config: type[BaseModel], without: Collection[str] = ()) -> dict[str, Param]:
    """A Param ``{section}__{field}`` for every scalar field of the config."""
    return {
        key(section, field): Param(None, section=section, title=field, **schema)
        for field, schema in _scalars(config).items()
        if field not in without
    }


def overrides_of(section: str, config: type[BaseModel], without: Collection[str] = ()) -> Template:
    """A template that renders the JSON object of the section's Params that were set.

    Dollar signs are escaped as JSON escapes them, since Kubernetes expands ``$(NAME)`` in a command.
    """
    pairs = ", ".join(f"'{field}': params['{key(section, field)}']" for field in _scalars(config) if field not in without)
    return Template(f"{{{{ dict({{{pairs}}}.items() | rejectattr(1, 'none')) | tojson | replace('$', '\\\\u0024') }}}}")


def key(section: str, field: str) -> str:
    """The Param's name: ``sft_1__learning_rate``."""
    return f"{section.replace('-', '_')}__{field}"


def _settable(recipe: str) -> tuple[type[BaseModel], tuple[str, ...]]:
    """The Config of the recipe's stage, and its fields that no form sets."""
    entry = stages.entry_of(recipe.partition("-")[0])
    return stages.config_of(entry.name), entry.fixed


def _scalars(config: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """By field, the JSON schema of every field that fits a single input; it allows null besides."""
    properties = config.model_json_schema(mode="validation").get("properties", {})
    schemas = {field: _nullable(schema) for field, schema in properties.items()}
    return {field: schema for field, schema in schemas.items() if schema}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    options = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    if len(options) != 1 or options[0].get("type") not in SCALARS:
        return {}
    scalar = options[0]
    kept = {name: scalar[name] for name in KEPT if name in scalar}
    if "enum" in kept:
        kept["enum"] = [*kept["enum"], None]
    default = schema.get("default")
    note = "Empty: as the recipe says." if default is None else f"Empty: as the recipe says; the stage's own default is {default}."
    help_text = " ".join(filter(None, (schema.get("description"), _bounds(scalar), note)))
    return {"type": ["null", scalar["type"]], "description": help_text, **kept}


def _bounds(schema: dict[str, Any]) -> str:
    """The bounds in words: the form enforces them without saying them."""
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[name]}" for name, sign in signs.items() if name in schema]
    return f"Must be {' and '.join(bounds)}." if bounds else ""
