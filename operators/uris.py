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
    stage, dash, suffix = name.partition("-")
    return f"{_root()}/{stage}/{context['params']['profile']}{dash}{suffix}/{_version(context)}"


def report_uri(context: Any, benchmark: str) -> str:
    """The URI of a report on one benchmark of the run's ``checkpoint``, named after both; raises BadConfig without a store."""
    checkpoint = context["params"]["checkpoint"].rstrip("/").split("/")[-2:][0]
    return f"{_root()}/report/{checkpoint}-{context['params']['profile']}-{benchmark}/{_version(context)}"


def _root() -> str:
    root = os.environ.get("STILLHOUSE_STORE")
    if not root:
        msg = "STILLHOUSE_STORE is not set: give Airflow the root of the artifact store, such as s3://stillhouse"
        raise BadConfig(msg)
    return root.rstrip("/")


def _version(context: Any) -> str:
    return str(context["params"]["version"] or context["dag_run"].run_after.strftime("%Y-%m-%dT%H-%M-%S"))


MACROS = {"artifact": artifact}
