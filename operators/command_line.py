"""The command line of a stage's task: the stage's own, as templates for Airflow to render."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from operators.templates import Template, as_template
from stillhouse import stages
from stillhouse.execution.command import command

Text = str | Template
Inputs = Mapping[str, Text | Sequence[Text]]
NO_INPUTS: Inputs = MappingProxyType({})
NO_RESOURCES: Mapping[str, str] = MappingProxyType({})
DOLLAR = "$$"
"""What Kubernetes reads as one dollar sign in a container's command: it expands ``$(NAME)`` to the variable of that name."""


def tool(program: str, words: Sequence[Text], dollar: str = "$") -> list[str]:
    """The command line of a command that is no stage, such as ``stillhouse rollback MODEL``; strings arrive as they are."""
    return [program, *(as_template(word if isinstance(word, Template) else word.replace("$", dollar)) for word in words)]


def arguments(
    stage: str,
    recipe: Text,
    overrides: Text,
    inputs: Inputs,
    target: Text,
    *,
    shard: Text = "",
    step: Text = "",
    dollar: str = "$",
    **launch: Any,
) -> list[str]:
    """``stillhouse STAGE …``: the recipe, then what the trigger form overrides.

    A ``Template`` is rendered; every string arrives at the stage as it is. ``dollar`` is written for each dollar sign in one.
    ``shard`` is ``INDEX/COUNT``, ``step`` a step of a sharded stage. ``launch``: ``program``, ``processes`` and ``rendezvous`` of
    ``command``.
    """

    def quoted(value: Text) -> str:
        return as_template(value if isinstance(value, Template) else value.replace("$", dollar))

    layers = [quoted(layer) for layer in ([recipe] if overrides == "{}" else [recipe, overrides])]
    listed = {name: [uris] if isinstance(uris, Text) else uris for name, uris in inputs.items()}
    quoted_inputs = {name: [quoted(uri) for uri in uris] for name, uris in listed.items()}
    ranks = stages.entry_of(stage).ranks
    shares: dict[str, Any] = {"shard": as_template(shard), "step": as_template(step)}
    return command(stage, config=layers, inputs=quoted_inputs, output=quoted(target), ranks=ranks, **shares, **launch)
