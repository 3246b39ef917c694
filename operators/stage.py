"""The operator of a stage: a pod on the cluster, a child process if ``STILLHOUSE_RUNNER=process`` (laptop, CI).

Both take the same arguments and run the same command line; only the chosen one is imported, since DAG files are parsed for
every task and the Kubernetes client takes seconds to load.
"""

import os
from collections.abc import Mapping
from typing import Any

StageOperator: Any
if os.environ.get("STILLHOUSE_RUNNER") == "process":
    from operators.process import StageProcess as StageOperator
else:
    from operators.pod import StagePod as StageOperator


def operator_of(placed: Mapping[str, Any]) -> Any:
    """The operator for a placement: an indexed Job on a cluster where it has several nodes. ``operator_of(where)(…, **where)``."""
    if placed.get("nodes", 1) == 1 or os.environ.get("STILLHOUSE_RUNNER") == "process":
        return StageOperator
    from operators.job import StageJob

    return StageJob


__all__ = ["StageOperator", "operator_of"]
