"""What a run will do, said before it does it: the task ``plan``, the approval above a bound, and the shards of each stage."""

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.standard.exceptions import HITLRejectException
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from operators import mlflow_rest, parent, time_limits, uris
from operators.params import key
from stillhouse.execution.profiles import MOST_SHARDS

APPROVE = "approve"
PLACEMENT = "placement"
"""The section of the form about where tasks run: nothing that it sets changes a result."""
ONLY_RECORDED = ("role", "served_gpus")
"""Facts of a task that the end of the run takes, and not the plan."""


def plan(facts: Sequence[Mapping[str, Any]]) -> Any:
    """The task that prints and stores what the run's tasks will do. ``facts`` are those of ``estimates.PlannedTask``."""
    return task(task_id=parent.PLAN)(_plan)(list(facts))


def approval(planned: Any, bound_gpu_hours: float) -> Any:
    """The task that waits for a person if the plan takes more GPU-hours than the bound."""
    approve = ApproveAboveBound(
        task_id=APPROVE, bound_gpu_hours=bound_gpu_hours,
        subject=f"{{{{ dag_run.dag_id }}}}: "
        f"{{{{ '%.2f' % ti.xcom_pull(task_ids='{parent.PLAN}')['gpu_hours'] }}}} GPU-hours are planned",
        body=f"{{{{ ti.xcom_pull(task_ids='{parent.PLAN}')['page'] }}}}",
    )  # fmt: skip
    planned >> approve
    return approve


def promotion(report: Any) -> Any:
    """The task that waits for a person before a model is registered and may become champion."""
    return Approval(
        task_id="approve-promotion",
        subject="{{ dag_run.dag_id }}: register the model, and promote it if it passes?",
        body=f"Its report: {report.target}. Approving lets the gate decide; rejecting ends the run without registering.",
    )  # fmt: skip


class Approval(ApprovalOperator):
    """Ask a person, once: a rejection ends the run, and is not asked about again as a failed task would be."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(fail_on_reject=True, **kwargs)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """What the person said. Raises AirflowFailException, which is never tried again, for a rejection."""
        try:
            return super().execute_complete(context, event)
        except HITLRejectException as rejection:
            person = (event.get("responded_by_user") or {}).get("name", "somebody")
            msg = f"{person} rejected: {self.subject}; the run ends here, start another one if that changes"
            raise AirflowFailException(msg) from rejection


class ApproveAboveBound(Approval):
    """Ask a person only if the plan takes more than the bound."""

    def __init__(self, *, bound_gpu_hours: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bound_gpu_hours = bound_gpu_hours

    def execute(self, context: Any) -> Any:
        """Return at once below the bound."""
        hours = context["ti"].xcom_pull(task_ids=parent.PLAN)["gpu_hours"]
        if hours <= self.bound_gpu_hours:
            self.log.info("%.1f GPU-hours are planned, the bound is %.1f: nobody is asked", hours, self.bound_gpu_hours)
            return None
        return super().execute(context)


def shares(name: str, step: str = "") -> list[dict[str, str]]:
    """``--shard`` and ``--step`` for each mapped task of a stage: as many as the form says; none of both for a single one."""
    count = int(get_current_context()["params"][key(PLACEMENT, f"{name}__shards")])
    return [{"shard": f"{index}/{count}", "step": step} for index in range(count)] if count > 1 else [{"shard": "", "step": ""}]


def shard_params(shards: Mapping[str, int]) -> dict[str, Param]:
    """A Param for the number of shards of each sharded stage."""
    return {
        key(PLACEMENT, f"{name}__shards"): Param(
            count, type="integer", minimum=1, maximum=MOST_SHARDS, section=PLACEMENT, title=f"{name}: shards",
            description="Into how many tasks the stage is split. The rows are the same for any number.",
        )
        for name, count in shards.items()
    }  # fmt: skip


def _plan(facts: list[dict[str, Any]]) -> dict[str, Any]:
    """Print the plan, and keep it with the DAG run's parent run."""
    from stillhouse.api import estimates, forecast

    context: Any = get_current_context()
    dag, params = context["dag"], context["params"]
    form = dag.user_defined_macros["form"]
    configs = {recipe: form.sections[recipe].values | form.overrides(recipe, params) for recipe in form.sections}
    planned = [{name: value for name, value in fact.items() if name not in ONLY_RECORDED} for fact in facts]
    tasks = [estimates.PlannedTask(**fact, config=configs[fact["recipe"]]) for fact in planned]
    made = forecast.plan(dag.dag_id, tasks, store=uris.root(), version=uris.version(context))
    print(made.as_text())
    run_id = context["ti"].xcom_pull(task_ids=parent.OPEN)
    if run_id:
        mlflow_rest.call("runs/set-tag", {"run_id": run_id, "key": mlflow_rest.NOTE_TAG, "value": made.as_markdown()})
        mlflow_rest.log(run_id, metrics=made.totals())
    return {
        "gpu_hours": made.gpu_hours, "hours": made.hours, "page": made.as_markdown(), "expected": made.expected(),
        "limits": time_limits.of_plan(made.tasks, facts),
    }  # fmt: skip
