"""Make an earlier version of a registered model the champion again: ``stillhouse rollback``."""

from airflow.sdk import DAG, Param

from operators import parent, retries
from operators.params import whole
from operators.placement import cpu
from operators.stage import StageOperator
from operators.templates import Template

PARAMS = {
    "model": Param(
        type="string", pattern=whole("^[A-Za-z0-9][A-Za-z0-9_.-]*$"), description="The registered model, such as stillhouse-laptop."
    ),
    "version": Param(
        None, type=["null", "string"], pattern=whole("^[0-9]+$"),
        description="The version to go back to. Empty: the champion before this one.",
    ),
}  # fmt: skip

with DAG(
    "rollback",
    schedule=None,
    catchup=False,
    params=PARAMS,
    default_args=retries.default_args(),
    doc_md=__doc__,
    tags=["stillhouse"],
):
    parent.check() >> StageOperator(
        task_id="rollback", stage="rollback",
        words=["rollback", Template("{{ params.model }}"), Template("--to={{ params.version or '' }}")],
        **cpu(1),
    )  # fmt: skip
