"""A task -> buttons on its page in Airflow: the stage's run in MLflow, and the HTML page that the stage made.

Airflow asks for the addresses in the process that ran the task, once it has ended in whatever way, and keeps them.
"""

from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from operators import mlflow_rest
from stillhouse.artifacts import manifest
from stillhouse.artifacts.manifest import Manifest


class RunLink(BaseOperatorLink):
    """The run that made the task's artifact, also where this task found it unchanged; of a stage that failed, its last try's."""

    name = "MLflow run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Empty where nothing is tracked. Raises AirflowException where MLflow does not answer: Airflow logs it, and goes on."""
        return _run_page(operator.target, manifest.find(operator.target)) if mlflow_rest.server() else ""


class PageLink(BaseOperatorLink):
    """The page of a report, a comparison, a data set …, in MLflow's view of the run's artifacts."""

    name = "report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Empty where the stage makes no page, or has failed."""
        made = manifest.find(operator.target) if mlflow_rest.server() else None
        found = sorted(name for name in made.files if name.endswith(".html") and "/" not in name) if made else []
        run = _run_page(operator.target, made) if found else ""
        return f"{run}/artifacts/{quote(found[0])}" if run else ""


LINKS = (RunLink(), PageLink())


def _run_page(target: str, made: Manifest | None) -> str:
    run_id = made.provenance.mlflow_run_id if made else None
    run = mlflow_rest.call(f"runs/get?run_id={run_id}")["run"] if run_id else _last_try(target)
    return f"{mlflow_rest.pages()}/#/experiments/{run['info']['experiment_id']}/runs/{run['info']['run_id']}" if run else ""


def _last_try(target: str) -> dict[str, Any] | None:
    """The newest run that worked on the artifact."""
    wanted = {"filter": f"tags.uri = '{target}'", "order_by": ["attributes.start_time DESC"], "max_results": 1}
    found: list[dict[str, Any]] = mlflow_rest.call("runs/search", {"experiment_ids": [mlflow_rest.experiment()], **wanted}).get(
        "runs", []
    )
    return found[0] if found else None
