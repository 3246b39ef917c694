"""How long the pods of a task may run: a multiple of what the run's plan says. A pod that hangs would hold its GPUs for ever.

The limit is the pod's own (``activeDeadlineSeconds``): it counts from when the pod has a node, and holds while Airflow is away.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import pass_context

from operators import parent
from operators.templates import Template

FACTOR = 10.0
"""``STILLHOUSE_TIME_LIMIT_FACTOR``: how many times the planned time; 0 sets no limit."""
LEAST_S = 6 * 3600
"""No limit is shorter: a plan of minutes says little about the time to fetch a model."""


def of_plan(estimates: Sequence[Any], facts: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Seconds for each task that the plan has an estimate of, by the GPUs that it or what it asks holds."""
    factor = float(os.environ.get("STILLHOUSE_TIME_LIMIT_FACTOR") or FACTOR)
    gpus = {fact["name"]: fact["gpus"] or fact.get("served_gpus", 0) for fact in facts}
    hours = {one.task: one.gpu_hours / max(1, gpus[one.task]) + one.cpu_hours for one in estimates if "unknown" not in one.basis}
    return {task: max(LEAST_S, round(factor * 3600 * planned)) for task, planned in hours.items() if planned and factor}


def template(name: str) -> Template:
    """The limit of the task ``name``, for its operator: empty without one."""
    return Template(f"{{{{ time_limit('{name}') }}}}")


@pass_context
def time_limit(context: Any, name: str) -> str:
    """The macro behind it: what the run's plan said."""
    plan = context["ti"].xcom_pull(task_ids=parent.PLAN)
    return str(plan.get("limits", {}).get(name, "")) if isinstance(plan, dict) else ""


def seconds(limit: str) -> int | None:
    """The rendered limit."""
    return int(limit) if limit else None
