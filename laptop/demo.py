"""``make demo``: a DAG from start to end, followed stage by stage."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from rich.console import Console
from rich.markup import escape

from laptop import services
from laptop.airflow import ENDED, Airflow
from laptop.progress import Line, Watch, error_in, log_of
from laptop.settings import Laptop
from laptop.supervision import Supervisor
from stillhouse.errors import BadConfig, ServiceFailed
from stillhouse.execution import profiles
from stillhouse.execution.pipelines import PIPELINES

ASK_EVERY_S = 1.0
SAY_EVERY_S = 15.0
LATER = "triggerer"
"""Started after the first stages begin: nothing on a laptop defers, so nothing waits for it."""
STATES = {
    "success": "[green]done[/green]", "running": "[cyan]running[/cyan]", "failed": "[red]failed[/red]",
    "upstream_failed": "[red]not reached[/red]", "up_for_retry": "[yellow]tried, again soon[/yellow]",
}  # fmt: skip
UNKNOWN = "unknown"
"""The state of a run while Airflow's API server is started again."""
SILENT = ("waiting", "scheduled", "queued", "upstream_failed", "skipped")
"""States that are not worth a line of their own."""


def demo(console: Console, laptop: Laptop, profile: str, version: str) -> bool:
    """Run the profile's DAG and print what came out; returns whether it succeeded. Services that ran before are left running.

    Raises BadConfig for a profile that does not exist, is wrong, or ends in no artifact by which it can be summed up.
    """
    started, end = time.monotonic(), _end_of(profile)
    with _services(console, laptop, profile) as (airflow, ours):
        run_id = f"demo-{profile}-{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}"
        with _given_up_on_error(airflow, run_id):
            if ours:
                # Nothing can be running yet: what looks unfinished was cut off with the services.
                for cut_off in airflow.unfinished():
                    airflow.give_up(cut_off)
            airflow.trigger(run_id, {"version": version})
            services.start_one(laptop, LATER)
            console.print(f"run [bold]{run_id}[/bold] · {laptop.airflow_url}/dags/{profile}/runs/{run_id}", soft_wrap=True)
            watch, supervisor = (
                Watch(laptop, airflow, run_id),
                Supervisor(laptop, partial(console.print, markup=False, soft_wrap=True)),
            )
            succeeded = _follow(console, airflow, watch, run_id, supervisor) == "success"
        if succeeded:
            _summary(console, laptop, end, profile, version)
        else:
            _failure(console, laptop, profile, run_id, watch.lines())
    console.print(f"{'done' if succeeded else 'failed'} in {_clock(time.monotonic() - started)}")
    return succeeded


def _end_of(profile: str) -> str:
    """The artifact that a run of the profile ends in."""
    end = PIPELINES[profiles.load(profile).profile.pipeline].end
    if not end:
        msg = f"profile {profile} ends in reports alone: start it in Airflow (make up), or try it: make rehearse PROFILE={profile}"
        raise BadConfig(msg)
    return end


def prepare(laptop: Laptop, dag: str, since: str) -> Airflow:
    """Give a fresh Airflow what a run needs: the pool, and the DAG read from its file."""
    airflow = Airflow(laptop, dag)
    airflow.make_pool("cpu", max(2, os.cpu_count() or 1))  # a task of two slots would wait for ever in a pool of one
    airflow.wait_for_dag(since)
    return airflow


@contextmanager
def _services(console: Console, laptop: Laptop, dag: str) -> Iterator[tuple[Airflow, bool]]:
    """The services, and whether this block started them; if so it stops them, even if only some came up."""
    before = any(services.running(laptop).values())
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    try:
        fresh = services.start(laptop, console.print, without=[LATER])
        yield prepare(laptop, dag, since if "dag-processor" in fresh else ""), not before
    finally:
        if not before:
            with _undisturbed():
                console.print("stopping the services (`make up` leaves them running)")
                services.stop(laptop)


@contextmanager
def _given_up_on_error(airflow: Airflow, run_id: str) -> Iterator[None]:
    """On an error or Ctrl-C, end the run and its stages: nobody waits for them."""
    try:
        yield
    except (KeyboardInterrupt, ServiceFailed):
        # If Airflow itself is gone, the first error says more than a second one.
        with _undisturbed(), suppress(ServiceFailed):
            if run_id in airflow.unfinished():
                airflow.give_up(run_id)
        raise


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C must not leave processes behind: it is ignored for the seconds that stopping takes."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _follow(console: Console, airflow: Airflow, watch: Watch, run_id: str, supervisor: Supervisor) -> str:
    """Show the run until it ends. Returns its last state."""
    show = _live if console.is_terminal else _plain
    with show(console) as update:
        while True:
            state = supervisor.call(lambda: airflow.state(run_id), UNKNOWN)
            update(supervisor.call(watch.lines, watch.last))
            if state in ENDED:
                return state
            time.sleep(ASK_EVERY_S)


@contextmanager
def _live(console: Console) -> Iterator[Any]:
    """A table that is redrawn in place."""
    from rich.live import Live

    last: list[Line] = []

    def update(lines: list[Line]) -> None:
        last[:] = lines
        live.update(_table(lines, console.height - 2), refresh=True)

    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        yield update
        # Printed once more as Live ends: the whole path, even if it is taller than the terminal.
        live.update(_table(last, len(last)))


def _table(lines: list[Line], rows: int) -> Any:
    """One row per stage. Live can redraw only one screen: beyond ``rows`` stages, the first finished ones share one row."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table("stage", "state", "progress", "", "time", box=None, pad_edge=False, header_style="bold")
    table.columns[4].justify = "right"
    done = [line for line in lines if line.task.state == "success"]
    folded = done[: len(lines) - rows + 1] if len(lines) > rows else []
    if folded:
        table.add_row(f"{len(folded)} stages", STATES["success"], "", "", _clock(sum(line.task.seconds for line in folded)))
    for line in (line for line in lines if line not in folded):
        task, progress = line.task, line.progress
        bar = ProgressBar(total=1.0, completed=progress.share, width=24) if progress else ""
        count = f"{progress.done:,.0f} of {progress.total:,.0f}" if progress and progress.total else ""
        state = STATES.get(task.state, f"[dim]{task.state}[/dim]")
        table.add_row(task.name, state, bar, count, _clock(task.seconds) if task.state in {"running", *ENDED} else "")
    return table


@contextmanager
def _plain(console: Console) -> Iterator[Any]:
    """A line for every change of state, and for progress now and then; one for all stages that were not reached."""
    states: dict[str, str] = {}
    printed: dict[str, float] = {}
    last: list[Line] = []

    def update(lines: list[Line]) -> None:
        last[:] = lines
        for line in lines:
            name, state, now = line.task.name, line.task.state, time.monotonic()
            if states.get(name, "waiting") != state and state not in SILENT:
                states[name], printed[name] = state, now
                console.print(f"{name:18} {STATES.get(state, state)}{f' in {_clock(line.task.seconds)}' if state in ENDED else ''}")
            elif line.progress and line.progress.total and now - printed.get(name, now) >= SAY_EVERY_S:
                printed[name] = now
                progress = line.progress
                console.print(f"{name:18} {progress.done:,.0f} of {progress.total:,.0f} ({progress.share:.0%})")

    yield update
    unreached = sum(line.task.state not in ENDED for line in last)
    if unreached:
        console.print(f"{unreached} stage{'s' if unreached > 1 else ''} not reached")


def _failure(console: Console, laptop: Laptop, dag: str, run_id: str, lines: list[Line]) -> None:
    failed = [line.task for line in lines if line.task.state == "failed"]
    errors = []
    for task in failed:
        log = log_of(laptop, dag, run_id, task)
        errors.append(error_in(log))
        console.print(f"[red]{task.name} failed:[/red] {escape(errors[-1])}", soft_wrap=True)
        console.print(f"  log: {escape(str(log))}", soft_wrap=True)
    if any("choose another version" in error for error in errors):
        console.print("recipes or code changed since this version was made: [bold]make demo VERSION=another-name[/bold]")
    if not failed:
        console.print(f"[red]the run failed without a failed stage[/red]; look at {laptop.log('scheduler')}", soft_wrap=True)


def _summary(console: Console, laptop: Laptop, end: str, profile: str, version: str) -> None:
    """The numbers of the run, and where to look further."""
    from stillhouse.artifacts import manifest
    from stillhouse.artifacts.store import join, local_path
    from stillhouse.reporting.summary import print_summary

    os.environ.update(laptop.store_environment())
    stage, dash, suffix = end.partition("-")
    uri = f"{laptop.root}/{stage}/{profile}{dash}{suffix}/{version}"
    print_summary(console, uri)
    last = manifest.load(uri)
    pages = [join(*manifest.location(uri, last, name)) for name in last.files if name.endswith(".html")]
    for page in pages:
        console.print(f"report   {local_path(page) if page.startswith('file://') else page}", soft_wrap=True)
    console.print(f"MLflow   {laptop.mlflow_url}\nAirflow  {laptop.airflow_url} (both after `make up`)", soft_wrap=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
