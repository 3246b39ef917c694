"""What plays a role in a pipeline, and how a stage's task reads or asks it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from operators.command_line import Text
from operators.placement import GPU
from operators.templates import Template
from stillhouse.execution.profiles import ModelRole, ReachedModel, ServedModel, TrainedModel

ENDPOINTS, REWARD = "STILLHOUSE_ENDPOINTS", "STILLHOUSE_REWARD_ENDPOINT"


@dataclass(frozen=True)
class Made:
    """A task, and the URI of what it makes."""

    name: str
    task: Any
    target: Template


@dataclass(frozen=True)
class Asked:
    """A model behind an endpoint: the tasks that start and stop it if this DAG serves it."""

    endpoint: Text
    """``name=http://…/v1``; empty for one that ``STILLHOUSE_ENDPOINTS`` names."""
    ready: Any = None
    stop: Any = None
    gpus: int = 0
    """GPUs of all replicas that this DAG serves."""


@dataclass(frozen=True)
class Fetched:
    """A model of the hub, and the task that brings it into the cache that stages share."""

    reference: str
    task: Any


Model = Made | Asked | Fetched | str | None
"""What plays a role: a checkpoint that a task makes, a model behind an endpoint or of the hub, another reference, or nobody."""


def gpus(where: Mapping[str, Any]) -> int:
    """The GPUs of a task on all its nodes."""
    return int(where["resources_needed"].get(GPU, 0)) * int(where.get("nodes", 1))


def references(models: Mapping[str, ModelRole]) -> dict[str, str]:
    """The models of a profile by role, in words: a reference, ``task:NAME`` for one that the DAG trains, or who serves it."""

    def text(model: ModelRole) -> str:
        if isinstance(model, TrainedModel):
            return f"task:{model.recipe}"
        if isinstance(model, ServedModel):
            return model.serve
        if isinstance(model, ReachedModel):
            return f"{model.name} at {model.endpoint or ENDPOINTS}"
        return model

    return {role: text(model) for role, model in models.items()}


def present(value: Any) -> list[Any]:
    """What was given for an input, as a list without None."""
    values = value if isinstance(value, list | tuple) else [value]
    return [one for one in values if one is not None]


def uris(sources: Mapping[str, Sequence[Made | Asked | Fetched | str]]) -> dict[str, list[Text]]:
    """What ``--input`` names, by input."""

    def uri(one: Made | Fetched | str) -> Text:
        if isinstance(one, Made):
            return one.target
        return one.reference if isinstance(one, Fetched) else one

    return {name: [uri(one) for one in values if not isinstance(one, Asked)] for name, values in sources.items()}


def connect(sources: Mapping[str, Sequence[Any]], asked: Sequence[Asked], first: Any, last: Any) -> None:
    """Let a stage's first task wait for what it reads and for the models it asks, which are stopped after its last one."""
    for values in sources.values():
        [one.task for one in values if isinstance(one, Made | Fetched)] >> first
    for model in asked:
        if model.ready is not None:
            model.ready >> first
            last >> model.stop


def endpoints(asked: Sequence[Asked], reward: Asked | None) -> dict[str, Text]:
    """The variables by which a stage finds the models it asks."""
    addresses = list(dict.fromkeys(str(one.endpoint) for one in asked if one is not reward and str(one.endpoint)))
    variables: dict[str, Text] = {ENDPOINTS: Template(",".join(addresses))} if addresses else {}
    if reward is not None and str(reward.endpoint):
        text = str(reward.endpoint)
        inner = text.removeprefix("{{ ").removesuffix(" }}") if text.startswith("{{ ") else json.dumps(text)
        variables[REWARD] = Template(f"{{{{ ({inner}).split('=')[-1].removesuffix('/v1') }}}}")
    return variables
