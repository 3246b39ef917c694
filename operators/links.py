"""A task -> buttons on its page in Airflow: the stage's run in MLflow, and the HTML page that the stage made.

Airflow asks for the addresses in the process that ran the task, once the task has ended, and keeps them.
"""

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from operators import mlflow_rest

if TYPE_CHECKING:
    from stillhouse.artifacts.manifest import Manifest


class RunLink(BaseOperatorLink):
    """The run that made the task's artifact, even if this task found it unchanged; for a failed stage, the run of its last try."""

    name = "MLflow run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Empty if nothing is tracked. Raises Outage if MLflow does not answer: Airflow logs it and goes on."""
        return _run_page(operator, _published(operator.target)) if operator.target and mlflow_rest.server() else ""


class PageLink(BaseOperatorLink):
    """The page of a report, a comparison, a data set …, in MLflow's view of the run's artifacts."""

    name = "report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Empty if the stage makes no page or failed."""
        artifact = _published(operator.target) if operator.target and mlflow_rest.server() else None
        pages = sorted(name for name in artifact.files if name.endswith(".html") and "/" not in name) if artifact else []
        return _run_page(operator, artifact, pages[0]) if pages else ""


LINKS = (RunLink(), PageLink())


def _published(target: str) -> "Manifest | None":
    from stillhouse.artifacts import manifest  # here: Airflow parses DAG files all the time, and needs no store for it

    return manifest.find(target)


def _run_page(operator: Any, artifact: "Manifest | None", page: str = "") -> str:
    run_id = artifact.provenance.mlflow_run_id if artifact else None
    found = mlflow_rest.call(f"runs/get?run_id={run_id}")["run"] if run_id else _last_try(operator.dag_id, operator.target)
    return mlflow_rest.page(found, page) if found else ""


def _last_try(profile: str, target: str) -> dict[str, Any] | None:
    """The newest run that worked on the artifact."""
    quotation = '"' if "'" in target else "'"
    query = {"filter": f"tags.uri = {quotation}{target}{quotation}", "order_by": ["attributes.start_time DESC"], "max_results": 1}
    experiments = [mlflow_rest.experiment(profile)]
    runs: list[dict[str, Any]] = mlflow_rest.call("runs/search", query | {"experiment_ids": experiments}).get("runs", [])
    return runs[0] if runs else None
