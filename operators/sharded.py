"""A stage over several shards: one mapped task with as many instances as the form says.

A stage that decides some things over all rows is three tasks: every shard is mapped, one task combines, every shard is made. With
one shard in the form, the first of them does the whole work and the others find it done.
"""

from typing import Any

from airflow.sdk import task

from operators import planned
from operators.params import key
from operators.stage import operator_of
from operators.templates import Template


def tasks(name: str, where: dict[str, Any], *, combines: bool, **options: Any) -> tuple[Any, Any]:
    """The first and the last task of the stage ``name``; ``options`` are those of its operator."""
    shares = _mapped(name, name, where, "", options)
    if not combines:
        return shares
    quiet = options | {"outlets": []}
    before = _mapped(f"{name}-map", name, where, "map", quiet)
    count = f"params['{key(planned.PLACEMENT, f'{name}__shards')}']"
    combine = operator_of(where)(
        task_id=f"{name}-combine", shard=Template(f"{{{{ '0/' ~ {count} if {count} > 1 else '' }}}}"),
        step=Template(f"{{{{ 'combine' if {count} > 1 else '' }}}}"), **quiet, **where,
    )  # fmt: skip
    before[1] >> combine >> shares[0]
    return before[0], shares[1]


def _mapped(task_id: str, name: str, where: dict[str, Any], step: str, options: dict[str, Any]) -> tuple[Any, Any]:
    """The task that counts the shards, and the mapped one."""
    shares = task(task_id=f"shards-{task_id}")(planned.shares)(name, step)
    mapped = operator_of(where).partial(task_id=task_id, **options, **where).expand_kwargs(shares)
    return shares, mapped
