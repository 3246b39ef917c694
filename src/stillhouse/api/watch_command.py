"""``stillhouse watch``: a DAG run on any Airflow, as one live table."""

from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote, urlsplit

import typer

from stillhouse.errors import BadConfig, ServiceFailed
from stillhouse.execution import run_status
from stillhouse.execution.console import PlainConsole
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.masking import masked

if TYPE_CHECKING:
    from stillhouse.watching.airflow_rest import AirflowRest
    from stillhouse.watching.run_lines import Line

INTERRUPTED = 130


def watch(
    run: Annotated[
        str, typer.Argument(help="a DAG, for its latest run; DAG/RUN_ID; or the run's address in the browser", metavar="DAG_RUN")
    ],
    plain: Annotated[bool, typer.Option("--plain", help="a line for every change, in place of a table")] = False,
) -> None:
    """Watch a DAG run until it ends: state, progress, rate, time left and cost of every stage.

    STILLHOUSE_AIRFLOW_URL names the server; STILLHOUSE_AIRFLOW_TOKEN, or …_USER and …_PASSWORD, log in; MLFLOW_TRACKING_URI
    gives the progress. The exit code is 0 if the run succeeded, 1 if it failed. Ctrl-C ends the watching, not the run.
    """
    from stillhouse.watching.following import follow
    from stillhouse.watching.run_lines import Watch
    from stillhouse.watching.tracked_progress import TrackedProgress

    console = PlainConsole(highlight=False)
    url, dag, run_id = _parts(run)
    airflow = _connect(url, dag)
    run_id = run_id or airflow.latest()
    airflow.state(run_id)  # a run that does not exist is refused before a table is drawn
    console.print(f"run {run_id} · {airflow.page(run_id)}", markup=False, soft_wrap=True)
    lines = Watch(airflow, TrackedProgress(environment.text("MLFLOW_TRACKING_URI"), dag, run_status.login()), run_id)
    try:
        last = follow(console, lambda: airflow.state(run_id), lines.lines, plain=plain)
    except KeyboardInterrupt:
        console.print("stopped watching; the run goes on")
        raise typer.Exit(INTERRUPTED) from None
    _print_failures(console, airflow, run_id, lines.last)
    console.print(f"run {last}", markup=False)
    raise typer.Exit(0 if last == "success" else 1)


def _parts(run: str) -> tuple[str, str, str]:
    """The server, the DAG and the run's id, which may be empty. Raises BadConfig for an address that is no run's."""
    url = environment.text("STILLHOUSE_AIRFLOW_URL")
    if run.startswith(("http://", "https://")):
        parts = urlsplit(run)
        before, dags, path = parts.path.partition("/dags/")
        dag, _, rest = path.partition("/")
        if not dags or not dag:
            msg = f"{run}: not the address of a DAG run; open the run in Airflow and copy …/dags/DAG/runs/RUN_ID"
            raise BadConfig(msg)
        return f"{parts.scheme}://{parts.netloc}{before}", unquote(dag), unquote(rest.removeprefix("runs/").partition("/")[0])
    if not url:
        msg = f"watch {run}: which Airflow? Set STILLHOUSE_AIRFLOW_URL, or give the run's address in the browser"
        raise BadConfig(msg)
    dag, _, run_id = run.partition("/")
    return url, dag, run_id


def _connect(url: str, dag: str) -> "AirflowRest":
    from stillhouse.watching.airflow_rest import AirflowRest

    return AirflowRest(
        url, dag, "check STILLHOUSE_AIRFLOW_URL and that the server runs",
        token=environment.text("STILLHOUSE_AIRFLOW_TOKEN"), user=environment.text("STILLHOUSE_AIRFLOW_USER"),
        password=environment.text("STILLHOUSE_AIRFLOW_PASSWORD"),
    )  # fmt: skip


def _print_failures(console: PlainConsole, airflow: "AirflowRest", run_id: str, lines: "list[Line]") -> None:
    """Say of every stage that failed why, in its own last words."""
    from stillhouse.watching.airflow_rest import error_in

    for task in (line.task for line in lines if line.task.state == "failed"):
        try:
            words = error_in(airflow.log(run_id, task))
        except ServiceFailed as error:  # a task that never ran on a worker has no log
            words = str(error)
        console.print(f"{task.name} failed: {masked(words)}", markup=False, soft_wrap=True)
