"""Remove what nothing needs from the store, and old runs from MLflow: ``stillhouse prune``.

Off until ``STILLHOUSE_PRUNE_SCHEDULE`` says when (a cron expression; in the chart `prune.schedule`). By that schedule it removes
what the defaults of the form say. Started by hand it lists what would go, unless the form says to remove it. Registered models,
pinned versions, the newest versions, and all that these were made of stay: see docs/store.md.
"""

import os

from airflow.sdk import DAG, Param

from operators import parent, retries, uris
from operators.params import LARGEST
from operators.placement import cpu
from operators.stage import StageOperator
from operators.templates import Template

KEEP, DAYS = 30, 180
MOST_DAYS = 36_500
PARAMS = {
    "keep": Param(
        int(os.environ.get("STILLHOUSE_PRUNE_KEEP") or KEEP), type="integer", minimum=1, maximum=LARGEST,
        description="Versions to keep, the newest over all stages.",
    ),
    "runs_older_than_days": Param(
        int(os.environ.get("STILLHOUSE_PRUNE_RUNS_DAYS") or DAYS), type="integer", minimum=1, maximum=MOST_DAYS,
        description="Runs of MLflow that began before go too, unless a version that stays or a registered model names them.",
    ),
    "delete": Param(False, type="boolean", description="Remove them. Off: list what would go, and touch nothing."),
}  # fmt: skip

with DAG(
    "prune",
    schedule=os.environ.get("STILLHOUSE_PRUNE_SCHEDULE") or None,
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    user_defined_macros={"store": uris.root},
    default_args=retries.default_args(),
    doc_md=__doc__,
    tags=["stillhouse"],
):
    parent.check() >> StageOperator(
        task_id="prune", stage="prune",
        words=[
            "prune", Template("{{ store() }}"), Template("--keep={{ params.keep }}"),
            Template("--runs-older-than={{ params.runs_older_than_days }}"),
            Template("{{ '--delete' if params.delete or dag_run.run_type == 'scheduled' else '--dry-run' }}"),
        ],
        **cpu(1),
    )  # fmt: skip
