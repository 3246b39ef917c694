"""Recipes and flags -> a stage's Config, with errors that say which field, what was got and what to do."""

import difflib
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, Tag, ValidationError

from stillhouse.errors import BadConfig, nearest
from stillhouse.execution import profile_folders

C = TypeVar("C", bound=BaseModel)

RECIPES = Path(str(files("stillhouse") / "recipes"))


def recipes() -> dict[str, Path]:
    """Every recipe: ``laptop/sft-1`` -> its file. The word before the first dash is the stage.

    A profile's recipes are the packaged ones, those of the user's folders (``execution.profile_folders``), and those of the profile
    it is like. A profile that is like itself has none: whoever loads it is told.
    """
    known = profile_folders.folders(RECIPES)
    found: dict[str, Path] = {}
    for name, folder in known.items():
        with suppress(BadConfig):
            files = profile_folders.recipe_files(folder, known)
            found |= {f"{name}/{stem}": path for stem, path in sorted(files.items())}
    return found


def resolve(config_type: type[C], layers: Sequence[str], settings: Sequence[str] = ()) -> C:
    """The config from its layers, left to right, then ``--set`` items. Raises BadConfig.

    A layer is JSON text, ``@NAME`` of a packaged recipe, or ``@FILE``. A setting is ``field=value``; ``a.b=value`` reaches
    into a nested field; the value is YAML, so that ``1e-5``, ``true``, ``null`` and ``[1, 2]`` mean what they look like.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        _merge(merged, read_layer(layer))
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            msg = f"--set {setting}: not of the form field=value"
            raise BadConfig(msg)
        value = _yaml(text, f"--set {setting}")
        for part in reversed(name.split(".")):
            value = {part: value}
        _merge(merged, value)
    return resolve_values(config_type, merged, ", ".join(layer for layer in layers if layer.startswith("@")) or "config")


def resolve_values(config_type: type[C], values: Mapping[str, Any], source: str = "config") -> C:
    """The config of these values by field. Raises BadConfig, which names ``source``."""
    try:
        return config_type.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(_problem(config_type, detail) for detail in _causes(error))
        msg = f"{source}: {problems}"
        raise BadConfig(msg) from error


def as_layer(path: Path) -> str:
    """A recipe's file as a layer that does not need the file. Raises BadConfig if it is no mapping."""
    return json.dumps(read_layer(f"@{path}"))


def read_layer(layer: str) -> dict[str, Any]:
    """One layer as a mapping."""
    if not layer.startswith("@"):
        try:
            value = json.loads(layer)
        except json.JSONDecodeError as error:
            form = f"write @{layer}" if layer in recipes() or Path(layer).is_file() else "write @RECIPE, @FILE.yaml or JSON"
            msg = f"--config {layer!r}: not JSON ({error.msg} at character {error.pos}); {form}"
            raise BadConfig(msg) from error
    else:
        value = _yaml(_text(_recipe_path(layer[1:]), layer), layer)
    if value is None:
        return {}
    if not isinstance(value, dict):
        msg = f"{layer}: a config is a mapping of fields to values, got {type(value).__name__}"
        raise BadConfig(msg)
    return value


def _recipe_path(name: str) -> Path:
    profile, _, stem = name.partition("/")
    known = profile_folders.folders(RECIPES)
    if profile in known and (found := profile_folders.recipe_files(known[profile], known).get(stem)):
        return found
    path = Path(name)
    if path.is_file():
        return path
    wrong = "".join(f"; {problem}" for problem in profile_folders.problems(RECIPES))
    msg = f"@{name}: no such recipe and no such file; {nearest_recipe(name, '@')}{wrong}"
    raise BadConfig(msg)


def nearest_recipe(name: str, mark: str = "") -> str:
    """What a mistyped recipe was meant to be, or the recipes for its stage or of its profile, or the profiles."""
    known = recipes()
    profile, slash, stem = name.partition("/")
    if of_stage := [mark + recipe for recipe in known if recipe.endswith(f"/{name}")]:
        return f"choose one: {', '.join(of_stage)}"
    siblings = {recipe.removeprefix(f"{profile}/"): mark + recipe for recipe in known if recipe.startswith(f"{profile}/")}
    if slash and siblings:
        close = difflib.get_close_matches(stem, siblings, n=1)
        return f"did you mean {siblings[close[0]]}?" if close else f"recipes of {profile}: {', '.join(siblings.values())}"
    profiles = sorted({recipe.partition("/")[0] for recipe in known})
    return nearest(mark + name, [mark + recipe for recipe in known], "write PROFILE/STAGE; packaged profiles", profiles)


def _text(path: Path, source: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{source}: cannot be read as UTF-8 text ({error}); give a YAML file"
        raise BadConfig(msg) from error


def _yaml(text: str, source: str) -> Any:
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        msg = f"{source}: not YAML{line}: {getattr(error, 'problem', error)}"
        raise BadConfig(msg) from error
    return value


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans: ``off``, ``no``, ``on`` and ``yes`` are words, as field names and as languages too."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # as PyYAML calls it
        """The mapping of a node. Raises ConstructorError for a key that stands twice: YAML would take the last one in silence."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if twice := next((key for key, _ in reversed(node.value) if keys.count(key.value) > 1), None):
            raise yaml.constructor.ConstructorError(None, None, f"{twice.value!r} stands twice; leave one", twice.start_mark)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":bool")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def _merge(into: dict[str, Any], update: Mapping[str, Any]) -> None:
    """Later layers win; mappings are merged key by key, lists are replaced."""
    for key, value in update.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _causes(error: ValidationError) -> list[Any]:
    """The validation errors without those that only follow from another one."""
    details: list[Any] = error.errors(include_url=False)
    unknown_kinds = {detail["loc"][:-1] for detail in details if detail["loc"][-1:] == ("kind",)}
    parents = {detail["loc"][:end] for detail in details for end in range(len(detail["loc"]))}
    return [
        detail
        for detail in details
        if not (detail["type"] == "extra_forbidden" and detail["loc"][:-1] in unknown_kinds)
        and not (detail["type"] == "too_short" and detail["loc"] in parents)
    ]


def _problem(config_type: type[Any], error: Any) -> str:
    """One validation error in one phrase: which field, what is wrong, what was got."""
    where = "".join(f"{'.' * bool(number)}{part}" for number, part in enumerate(error["loc"]) if part != "[key]")
    where = f"{where}: " if where else ""
    if error["type"] == "extra_forbidden":
        return f"{where}no such field{_close(error['loc'], config_type)}"
    if error["type"] == "missing":
        return f"{where}required, got nothing"
    message = error["msg"].removeprefix("Value error, ")
    is_named = message != error["msg"] and str(error["input"]) in message
    return f"{where}{message[0].lower() + message[1:]}" + (f", got {error['input']!r}" if where and not is_named else "")


def _close(place: Sequence[int | str], config_type: type[BaseModel]) -> str:
    """The nearest field of the model at this place or, if none is near, of any other, and where that one belongs."""
    name, parent = str(place[-1]), _model_at(config_type, place[:-1]) or config_type
    if difflib.get_close_matches(name, parent.model_fields, n=1):
        return f" ({nearest(name, parent.model_fields, 'fields')})"
    elsewhere = sorted({field for model in models(config_type) for field in model.model_fields} - set(parent.model_fields))
    if parent is config_type and (close := difflib.get_close_matches(name, elsewhere, n=1)):
        return f" (did you mean {close[0]}?)"
    return f" (fields: {', '.join(parent.model_fields)})"


def _model_at(annotation: Any, place: Sequence[int | str]) -> type[BaseModel] | None:
    """The model that the fields at this place belong to; None where a union leaves it open."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not place:
            return annotation
        field = annotation.model_fields.get(str(place[0]))
        return None if field is None else _model_at(field.annotation, place[1:])
    if typing.get_origin(annotation) is Annotated:
        tags = [mark.tag for mark in typing.get_args(annotation)[1:] if isinstance(mark, Tag)]
        if tags:
            return _model_at(typing.get_args(annotation)[0], place[1:]) if place and place[0] == tags[0] else None
        return _model_at(typing.get_args(annotation)[0], place)
    # An index of a list, or a key of a mapping, is left out; the members of a union are tried.
    is_union = typing.get_origin(annotation) in {typing.Union, types.UnionType}
    rest = place if is_union else place[1:]
    return next(filter(None, (_model_at(member, rest) for member in typing.get_args(annotation))), None)


def models(config_type: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The config type and the models nested in its fields."""
    yield config_type
    for field in config_type.model_fields.values():
        for model in directly(field.annotation):
            yield from models(model)


def directly(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation names, without those nested in them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for argument in typing.get_args(annotation):
        yield from directly(argument)
