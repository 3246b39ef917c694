"""The end of a DAG run: its record in the store, its headline in MLflow, and the leaderboard of its profile."""

from stillhouse.artifacts import store
from stillhouse.errors import TrackingFailed
from stillhouse.execution import run_status
from stillhouse.execution.tracked_run import say
from stillhouse.reporting import leaderboard, mlflow_headline, run_facts, store_runs
from stillhouse.reporting.leaderboard import Written
from stillhouse.reporting.run_record import DagRun, record_uri
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.masking import one_line


def record_run(root: str, run: DagRun) -> Written:
    """Record a run, write its profile's leaderboard, and add the headline to the MLflow run that ``MLFLOW_RUN_ID`` names.

    A DAG run that found everything made keeps the record of the run that made it; in MLflow it says what it reused. An MLflow that
    does not answer takes nothing from the record.
    """
    artifacts, parent = run_facts.read(run), environment.text("MLFLOW_RUN_ID")
    headline_of_run = run_facts.record(run, artifacts, since=run.started)
    is_known = store.store_of(root).holds(record_uri(root, run.profile, run.run))
    if not (headline_of_run.is_all_reused and is_known):
        run_facts.record(run, artifacts, mlflow=run_status.page(parent) if parent else "").publish(root)
    found = store_runs.runs(root, run.profile)
    [written] = leaderboard.write_all(root, found)
    if parent and environment.text("MLFLOW_TRACKING_URI"):
        try:
            mlflow_headline.log(parent, headline_of_run, artifacts, found.by_profile[run.profile])
        except TrackingFailed as error:
            say(f"tracking: {one_line(error)}")
    return written
