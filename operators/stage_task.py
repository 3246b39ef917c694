"""A stage as a task of a DAG: what it reads, where it runs and what it makes, from the stages before it."""

from collections.abc import Sequence
from typing import Any

from operators import parent
from operators.command_line import Text
from operators.placement import cpu, model
from operators.stage import operator_of
from operators.templates import Template
from stillhouse import stages


def stage(
    name: str, *, recipe: str = "", overrides: Text = "{}", outlets: Sequence[Any] = (), priority: int = 1, cores: int = 1,
    reuse: bool = False, **inputs: Any,
) -> Any:  # fmt: skip
    """The task that makes the artifact ``name`` by ``{profile}/{recipe}`` from ``inputs``, each one task or a list of them.

    ``reuse``: reuse rows of the version published last, for example a response to the same question.
    """
    recipe = recipe or name
    entry = stages.entry_of(recipe.split("-")[0])
    sources = {key: tasks if isinstance(tasks, list) else [tasks] for key, tasks in inputs.items()}
    where = model(entry.image, cores, trains=entry.ranks) if entry.model else cpu(cores, entry.image)
    previous = {"previous": "latest"} if reuse else {}
    task = operator_of(where)(
        task_id=name, stage=entry.name, recipe=Template(f"@{{{{ params.profile }}}}/{recipe}"), overrides=overrides,
        inputs={key: [Template(source.target) for source in tasks] for key, tasks in sources.items()} | previous,
        target=Template(f"{{{{ artifact('{name}') }}}}"), parent_run=parent.RUN_ID, outlets=list(outlets), priority_weight=priority,
        **where,
    )  # fmt: skip
    for tasks in sources.values():
        tasks >> task
    return task
