"""The command line of a stage's task: the stage's own, as templates for Airflow to render."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from operators.templates import Template, as_template
from stillhouse import stages
from stillhouse.execution.command import command

Inputs = Mapping[str, str | Sequence[str]]
NO_INPUTS: Inputs = MappingProxyType({})
NO_RESOURCES: Mapping[str, str] = MappingProxyType({})
DOLLAR = "$$"
"""What Kubernetes reads as one dollar sign in a container's command: it expands ``$(NAME)`` to the variable of that name."""


def arguments(
    stage: str, recipe: str, overrides: str, inputs: Inputs, target: str, *, dollar: str = "$", **launch: Any
) -> list[str]:
    """``stillhouse STAGE …``: the recipe, then what the trigger form overrides.

    A ``Template`` is rendered; every other string arrives at the stage as it is. ``dollar`` is written for each dollar sign in one.
    ``launch``: ``program``, ``processes`` and ``rendezvous`` of ``command``.
    """

    def quoted(text: str) -> Template:
        return text if isinstance(text, Template) else as_template(text.replace("$", dollar))

    layers = [quoted(layer) for layer in ([recipe] if overrides == "{}" else [recipe, overrides])]
    uris = {name: [quoted(uri) for uri in ([given] if isinstance(given, str) else given)] for name, given in inputs.items()}
    ranks = stages.entry_of(stage).ranks
    # Kubernetes' client writes YAML, which knows no class of ours.
    return [str(word) for word in command(stage, config=layers, inputs=uris, output=quoted(target), ranks=ranks, **launch)]
