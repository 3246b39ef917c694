"""Where a run's artifacts lie: ``{store}/{stage}/{profile}[-{suffix}]/{version}``, as a macro of templates.

Airflow evaluates it when a task starts, so that no DAG file reads the environment or the run.
"""

import os
from typing import Any

from jinja2 import pass_context

from stillhouse.errors import BadConfig


@pass_context
def artifact(context: Any, name: str) -> str:
    """The URI of ``sft-anneal`` in this run: stage ``sft``, suffix ``anneal``; raises BadConfig without a store."""
    root = os.environ.get("STILLHOUSE_STORE")
    if not root:
        msg = "STILLHOUSE_STORE is not set: give Airflow the root of the artifact store, such as s3://stillhouse"
        raise BadConfig(msg)
    stage, dash, suffix = name.partition("-")
    params = context["params"]
    version = params["version"] or context["dag_run"].run_after.strftime("%Y-%m-%dT%H-%M-%S")
    return f"{root.rstrip('/')}/{stage}/{params['profile']}{dash}{suffix}/{version}"


MACROS = {"artifact": artifact}
