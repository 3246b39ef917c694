"""Models that a config names: found by the mark on their fields, and replaced by what they are pinned to."""

from collections.abc import Iterator, Mapping
from typing import Any

from stillhouse.models.references import is_reference
from stillhouse.vocabulary.settings import MODEL, StageConfig

Path = tuple[str | int, ...]
"""The way to a field: ``("judge", "model")``."""


def references(config: StageConfig) -> dict[Path, str]:
    """The references in the fields that name models. A name that is no reference, such as an endpoint's, is left alone."""
    return dict(_in_config(config, ()))


def replaced(config: StageConfig, texts: Mapping[Path, str]) -> StageConfig:
    """The config with other texts in these fields."""
    return type(config).model_validate(with_texts(config.model_dump(mode="json"), texts))


def with_texts(settings: dict[str, Any], texts: Mapping[Path, str]) -> dict[str, Any]:
    """Dumped settings with other texts in these fields."""
    for path, text in texts.items():
        holder: Any = settings
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = text
    return settings


def _in_config(config: StageConfig, path: Path) -> Iterator[tuple[Path, str]]:
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.keys() >= MODEL.keys():
            yield from _named((*path, name), value)
        else:
            yield from _in_value((*path, name), value)


def _in_value(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    if isinstance(value, StageConfig):
        yield from _in_config(value, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _in_value((*path, key), item)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _in_value((*path, index), item)


def _named(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str) and is_reference(value):
        yield path, value
    elif isinstance(value, dict):
        for name, settings in value.items():
            yield from _named((*path, name, "model"), settings.get("model"))
