"""A profile's recipes -> Params of its trigger form; what was set there -> the JSON that overrides a recipe.

The form shows the values of the recipes. It repeats a Config's bounds and help texts, so that it refuses what the stage would
refuse; what a form cannot check, such as fields that contradict each other, is checked when the run begins.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from airflow.sdk import Param
from jinja2 import pass_context

from operators.templates import Template
from stillhouse import stages
from stillhouse.api.profile_checks import BENCHMARK_FIELDS, gaps, is_published
from stillhouse.errors import BadConfig, nearest
from stillhouse.execution import recipes
from stillhouse.execution.profiles import PIN
from stillhouse.vocabulary.settings import StageConfig

SCALARS = ("integer", "number", "string", "boolean")
KEPT = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "enum")
LARGEST = 2**53
"""The largest integer of a form: browsers round greater ones, and Airflow's DAG processor ends on those above 2^63."""
DATA = "benchmarks"
"""The section with the data of benchmarks that others publish."""


def whole(pattern: str) -> str:
    """A pattern whose last ``$`` is the end of the text: in Python and JSON schemas it also stands before a last line end."""
    return pattern.removesuffix("$") + r"(?![\s\S])"


VERSION = Param(
    None, type=["null", "string"], pattern=whole("^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
    description="The artifacts' version. Empty: the run's time. A version that was run before skips what is unchanged.",
)  # fmt: skip


@dataclass(frozen=True)
class Section:
    """The part of the form about one recipe."""

    layer: str
    """The recipe as a layer of ``--config``."""
    config: type[StageConfig]
    values: Mapping[str, Any]
    """By field, what the recipe comes to: what the form shows."""
    fixed: tuple[str, ...] = ()
    """Fields that no form sets."""


@dataclass(frozen=True)
class Form:
    """The trigger form of a profile's DAG."""

    sections: dict[str, Section] = field(default_factory=dict)
    """By recipe."""
    data: dict[str, str | None] = field(default_factory=dict)
    """By published benchmark, the pin of its data."""

    def add(self, recipe: str, layer: str) -> None:
        """Add the section of a recipe. Raises BadConfig if the recipe is wrong."""
        entry = stages.entry_of(recipe.partition("-")[0])
        config = stages.config_of(entry.name)
        values = recipes.resolve(config, [layer]).model_dump(mode="json")
        self.sections[recipe] = Section(layer, config, values, entry.fixed)
        for benchmark in (one for name in BENCHMARK_FIELDS for one in values.get(name, ())):
            if is_published(benchmark):
                self.data.setdefault(_bare(benchmark), None)

    def params(self) -> dict[str, Param]:
        """The Params, in the order of the sections."""
        shown = {name: param for recipe, section in self.sections.items() for name, param in params_of(recipe, section).items()}
        return shown | {key(DATA, name): _data_param(name, pin) for name, pin in self.data.items()}

    def overrides(self, recipe: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """What the form changes in a recipe, by field."""
        section = self.sections[recipe]
        entered = {name: params.get(key(recipe, name), value) for name, value in section.values.items()}
        # The editor of a mapping or a list shows null as an empty one.
        entered |= {name: None for name, value in entered.items() if value in ({}, []) and section.values[name] is None}
        changed = {name: value for name, value in entered.items() if value != section.values[name]}
        for name in BENCHMARK_FIELDS:
            pinned = [self.with_data(benchmark, params) for benchmark in entered.get(name, ())]
            changed |= {name: pinned} if pinned != section.values.get(name, []) else {}
        return changed

    def layers(self, recipe: str, params: Mapping[str, Any]) -> tuple[str, str]:
        """The layers of ``--config``: the recipe, and what the form changes in it.

        Mappings are merged key by key. If one was changed, the second layer is the whole config and the first is empty.
        """
        section, changed = self.sections[recipe], self.overrides(recipe, params)
        if any(isinstance(section.values[name], Mapping) for name in changed):
            return "{}", json.dumps({**section.values, **changed})
        return section.layer, json.dumps(changed)

    def with_data(self, benchmark: str, params: Mapping[str, Any]) -> str:
        """The benchmark's name with the pin of its data, if the form has one."""
        pin = params.get(key(DATA, _bare(benchmark)), self.data.get(_bare(benchmark)))
        return f"{_bare(benchmark)}@{pin}" if pin and ":" not in benchmark else benchmark

    def problems(self, conf: Mapping[str, Any], params: Mapping[str, Any], fields: Sequence[str]) -> list[str]:
        """What is wrong with a run: keys of its conf that are none of the form's ``fields``, and recipes that its values break."""
        wrong = unknown_keys(conf, fields)
        for recipe, section in self.sections.items():
            try:
                resolved = recipes.resolve(section.config, self.layers(recipe, params))
            except BadConfig as error:
                wrong.append(f"{recipe}: {error}")
                continue
            wrong += [f"{recipe}: {gap}" for gap in gaps(resolved.model_dump(mode="json"))]
        return wrong


def unknown_keys(conf: Mapping[str, Any], fields: Sequence[str]) -> list[str]:
    """What is wrong with the keys of a run's conf: each that is no field of the form, which Airflow would pass over."""
    return [f"{name}: no such field; {_meant(name, fields)}" for name in conf if name not in fields]


def _meant(name: str, fields: Sequence[str]) -> str:
    """What a mistyped key was meant to be, or the fields of its section, or the sections: a form has hundreds of fields."""
    section = name.partition("__")[0]
    if own := [field for field in fields if field.startswith(f"{section}__")]:
        return nearest(name, own, f"fields of {section}")
    return nearest(name, fields, "fields and sections", sorted({field.partition("__")[0] for field in fields}))


def params_of(recipe: str, section: Section) -> dict[str, Param]:
    """A Param ``{recipe}__{field}`` for every field of the recipe's Config that a form may set."""
    properties, definitions = _schema(section.config)
    return {
        key(recipe, name): Param(section.values[name], section=recipe, title=name, **_shown(schema, definitions))
        for name, schema in properties.items()
        if name not in section.fixed and name in section.values
    }


def layers_of(recipe: str) -> tuple[Template, Template]:
    """The templates that render the two layers of a recipe's ``--config``."""
    return Template(f"{{{{ layers({recipe!r})[0] }}}}"), Template(f"{{{{ layers({recipe!r})[1] }}}}")


def layers_macro(form: Form) -> Any:
    """The macro ``layers`` of a form."""

    @pass_context
    def layers(context: Any, recipe: str) -> tuple[str, str]:
        """The layers of ``--config``, dollar signs escaped as in JSON: Kubernetes expands ``$(NAME)`` in a command."""
        layer, overrides = form.layers(recipe, context["params"])
        escaped = layer if layer.startswith("@") else layer.replace("$", "\\u0024")
        return escaped, overrides.replace("$", "\\u0024")

    return layers


def key(section: str, name: str) -> str:
    """The Param's name: ``sft_1__learning_rate``."""
    return "__".join(part.replace("-", "_").replace(".", "_") for part in (section, name))


def _bare(benchmark: str) -> str:
    """``gpqa-diamond`` of ``gpqa-diamond@1:DATA``."""
    return benchmark.partition("@")[0]


def _data_param(benchmark: str, pin: str | None) -> Param:
    return Param(
        pin, type=["null", "string"], pattern=whole(PIN), section=DATA, title=benchmark,
        description=f"Which data of {benchmark}: a commit of its data set on the Hugging Face hub, or sha256-DIGEST of "
        f"{benchmark}.jsonl below STILLHOUSE_BENCHMARKS.",
    )  # fmt: skip


@cache
def _schema(config: type[StageConfig]) -> tuple[dict[str, Any], dict[str, Any]]:
    schema = config.model_json_schema(mode="validation")
    return schema.get("properties", {}), schema.get("$defs", {})


def _shown(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of one input: a typed one for a scalar, else JSON."""
    options = [_resolved(option, definitions) for option in schema.get("anyOf", [schema])]
    kinds = {str(option.get("type", "object")) for option in options}
    nullable = "null" in kinds
    [kind] = kinds - {"null"} if len(kinds - {"null"}) == 1 else ["object"]
    if kind in SCALARS:
        return _scalar(schema, next(option for option in options if option.get("type") == kind), nullable=nullable)
    help_text = f"{schema.get('description', '')}{' Empty: null.' if nullable else ''}"
    shown: dict[str, Any] = {"type": ["null", kind] if nullable else kind, "description": help_text}
    if kind == "array":
        # Texts are entered line by line, anything else as JSON.
        of_texts = _resolved(options[0].get("items", {}), definitions).get("type") == "string"
        shown["items"] = {"type": "string" if of_texts else "object"}
    return shown


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return dict(definitions.get(name, {})) if name else dict(schema)


def _scalar(schema: Mapping[str, Any], scalar: Mapping[str, Any], *, nullable: bool) -> dict[str, Any]:
    kept = {name: scalar[name] for name in KEPT if name in scalar}
    if scalar["type"] == "integer":
        kept = {"minimum": -LARGEST, "maximum": LARGEST} | kept
    if scalar["type"] == "boolean" and nullable:
        kept["enum"] = [True, False]  # a list to choose from: a switch has two states
    if "enum" in kept and nullable:
        kept["enum"] = [*kept["enum"], None]
    help_text = " ".join(filter(None, (schema.get("description"), _bounds(scalar), "Empty: null." if nullable else "")))
    return {"type": ["null", scalar["type"]] if nullable else scalar["type"], "description": help_text, **kept}


def _bounds(schema: Mapping[str, Any]) -> str:
    """The bounds in words: the form enforces them without saying them."""
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[name]}" for name, sign in signs.items() if name in schema]
    return f"Must be {' and '.join(bounds)}." if bounds else ""
