"""A checkpoint and benchmarks -> one report task each: what ``dags/evaluate.py`` maps over."""

import json
from typing import Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from operators.uris import report_uri
from stillhouse.execution.recipes import recipes


@task
def plan() -> list[dict[str, Any]]:
    """Arguments of the report's operator, one task per benchmark. Rounds build on each other, so one task runs them all.

    The recipe is ``{profile}/report-{benchmark}`` if the profile has it, else ``{profile}/report``. Raises AirflowFailException
    for a profile with neither.
    """
    context: Any = get_current_context()
    params = context["params"]
    planned = []
    for benchmark in params["benchmarks"]:
        name = benchmark.partition("@")[0]
        usable = [recipe for recipe in (f"{params['profile']}/report-{name}", f"{params['profile']}/report") if recipe in recipes()]
        if not usable:
            msg = f"profile {params['profile']} has no recipe for benchmark {name}; add report-{name}.yaml or report.yaml to it"
            raise AirflowFailException(msg)
        changes = {"benchmarks": [benchmark], "rounds": params["rounds"]}
        planned.append({
            "recipe": f"@{usable[0]}", "overrides": json.dumps({key: value for key, value in changes.items() if value is not None}),
            "inputs": {"checkpoint": params["checkpoint"]}, "target": report_uri(context, name),
        })  # fmt: skip
    return planned
