"""Where the trigger form puts the tasks of a run: GPUs, nodes, cores and memory of each, in place of the profile's.

A pod's operator reads what the form changed when its task starts. Airflow's pools count what the profile says: they know a task's
slots before the form is filled in.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk import Param
from jinja2 import pass_context

from operators.params import key, whole
from operators.planned import PLACEMENT
from operators.templates import Template
from stillhouse.execution.profiles import TaskPlacement

HELP = {
    "gpus": "GPUs, on each node.",
    "nodes": "Nodes of the training.",
    "cores": "CPU cores, on each node.",
    "memory": "Memory on each node, as Kubernetes writes it: 96Gi.",
}
Place = Callable[[TaskPlacement], Mapping[str, Any]]
"""Where a task runs by a placement."""


@dataclass(frozen=True)
class FormPlacement:
    """The tasks whose placement the form can change."""

    _tasks: dict[str, tuple[Place, TaskPlacement, Mapping[str, Any]]] = field(default_factory=dict)

    def add(self, name: str, place: Place, choice: TaskPlacement) -> dict[str, Any]:
        """Where the task runs by its profile, with the template of what the form changes."""
        where = dict(place(choice))
        self._tasks[name] = place, choice, where
        return where | {"placing": Template(f"{{{{ placing('{name}') }}}}")}

    def params(self) -> dict[str, Param]:
        """The Params of all tasks."""
        return {
            key(PLACEMENT, f"{name}__{what}"): _param(name, what, choice)
            for name, (_, choice, where) in self._tasks.items() for what in _fields(where)
        }  # fmt: skip

    def macro(self) -> Any:
        """The macro ``placing``: nodes and resources of a task as JSON, empty if the form does not change them."""

        @pass_context
        def placing(context: Any, name: str) -> str:
            if name not in self._tasks:
                return ""  # a child process, which runs where Airflow does
            place, choice, before = self._tasks[name]
            entered = {what: context["params"].get(key(PLACEMENT, f"{name}__{what}"), getattr(choice, what)) for what in HELP}
            if all(value == getattr(choice, what) for what, value in entered.items()):
                return ""
            where = place(choice.model_copy(update={what: entered[what] for what in _fields(before)}))
            return json.dumps({"resources": where["resources_needed"], "nodes": where.get("nodes", 1)})

        return placing


def _fields(where: Mapping[str, Any]) -> list[str]:
    """What can be chosen: the nodes of a training that has several, the GPUs of a task that has some."""
    return [
        *(["gpus"] if where["pool"] == "gpu" else []), *(["nodes"] if where.get("nodes", 1) > 1 else []), "cores", "memory",
    ]  # fmt: skip


def _param(name: str, what: str, choice: TaskPlacement) -> Param:
    [value, _] = TaskPlacement.model_json_schema()["properties"][what]["anyOf"]
    schema: dict[str, Any] = {**value, "type": ["null", value["type"]]}
    if what == "memory":
        schema["pattern"] = whole(value["pattern"])
    return Param(
        getattr(choice, what), section=PLACEMENT, title=f"{name}: {what}",
        description=f"{HELP[what]} Empty: as the deployment decides. No result depends on it.", **schema,
    )  # fmt: skip
