"""What both operators run: the stage's command line, as Airflow renders it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from stillhouse.execution.command import command

Inputs = Mapping[str, str | Sequence[str]]
NO_INPUTS: Inputs = MappingProxyType({})
NO_RESOURCES: Mapping[str, str] = MappingProxyType({})


def arguments(stage: str, recipe: str, overrides: str, inputs: Inputs, target: str, **launch: Any) -> list[str]:
    """``stillhouse STAGE …``: the recipe, then what the trigger form overrides. Every string may be a template.

    ``launch``: ``program``, ``processes`` and ``meeting`` of ``command``.
    """
    layers = [recipe] if overrides == "{}" else [recipe, overrides]
    return command(stage, config=layers, inputs=inputs, output=target, **launch)
