"""The operator of a stage: a pod on the cluster, a child process where ``STILLHOUSE_RUNNER=process`` (laptop, CI).

Both take the same arguments and run the same command line; only the chosen one is imported, since DAG files are parsed for
every task and the Kubernetes client takes seconds to load.
"""

import os
from typing import Any

StageOperator: Any
if os.environ.get("STILLHOUSE_RUNNER") == "process":
    from operators.process import StageProcess as StageOperator
else:
    from operators.pod import StagePod as StageOperator

__all__ = ["StageOperator"]
