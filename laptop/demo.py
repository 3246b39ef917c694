"""``make demo``: a DAG from start to end, followed stage by stage."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from laptop import services
from laptop.airflow import Airflow
from laptop.settings import Laptop
from laptop.supervision import Supervisor
from stillhouse.errors import BadConfig, ServiceFailed
from stillhouse.execution import profiles
from stillhouse.execution.pipelines import PIPELINES
from stillhouse.watching.airflow_rest import TaskState, error_in
from stillhouse.watching.following import clock, follow
from stillhouse.watching.run_lines import Line, Watch
from stillhouse.watching.tracked_progress import TrackedProgress

LATER = "triggerer"
"""Started after the first stages begin: nothing on a laptop defers, so nothing waits for it."""
UNKNOWN = "unknown"
"""The state of a run while Airflow's API server is started again."""


def demo(console: Console, laptop: Laptop, profile: str, version: str) -> bool:
    """Run the profile's DAG and print what came out; returns whether it succeeded. Services that ran before are left running.

    Raises BadConfig for a profile that does not exist, is wrong, or ends in no artifact by which it can be summed up.
    """
    started, end = time.monotonic(), _end_of(profile)
    _announce(console, profile, version)
    with _services(console, laptop, profile) as (airflow, ours):
        run_id = f"demo-{profile}-{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}"
        with _given_up_on_error(airflow, run_id):
            if ours:
                # Nothing can be running yet: what looks unfinished was cut off with the services.
                for cut_off in airflow.unfinished():
                    airflow.give_up(cut_off)
            airflow.trigger(run_id, {"version": version})
            services.start_one(laptop, LATER)
            console.print(f"run [bold]{run_id}[/bold] · {airflow.link(run_id)} (logs in once)", soft_wrap=True)
            tracked = TrackedProgress(laptop.mlflow_url, profile)
            watch = Watch(airflow, tracked, run_id)
            alive = Supervisor(laptop, partial(console.print, markup=False, soft_wrap=True))
            state, lines = partial(airflow.state, run_id), watch.lines
            last = follow(console, lambda: alive.call(state, UNKNOWN), lambda: alive.call(lines, watch.last))
            succeeded = last == "success"
        if succeeded:
            _summary(console, laptop, end, profile, version)
            pages = {"MLflow": tracked.page or laptop.mlflow_url, "Airflow": airflow.page(run_id) if ours else airflow.link(run_id)}
            for server, page in pages.items():
                console.print(f"{server:8} {page}", soft_wrap=True)
            if ours:
                console.print("`make up` starts both servers again; it prints the login")
        else:
            _failure(console, laptop, profile, run_id, watch.lines())
    console.print(f"{'done' if succeeded else 'failed'} in {clock(time.monotonic() - started)}")
    return succeeded


def _announce(console: Console, profile: str, version: str) -> None:
    """Say at once what will run, before services take their half minute to start."""
    described = profiles.load(profile).profile
    console.print(f"{profile}: {described.title}; version {version}", markup=False, soft_wrap=True)
    console.print(" ".join(described.about.split()), markup=False, style="dim")
    console.print("stages whose version is unchanged are skipped; Ctrl-C keeps what is finished")


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


def _failure(console: Console, laptop: Laptop, dag: str, run_id: str, lines: list[Line]) -> None:
    failed = [line.task for line in lines if line.task.state == "failed"]
    errors = []
    for task in failed:
        log = log_of(laptop, dag, run_id, task)
        errors.append(error_in(_entries(log)))
        console.print(f"[red]{task.name} failed:[/red] {escape(errors[-1])}", soft_wrap=True)
        console.print(f"  log: {escape(str(log))}", soft_wrap=True)
    if any("choose another version" in error for error in errors):
        console.print("recipes or code changed since this version was made: [bold]make demo VERSION=another-name[/bold]")
    if not failed:
        console.print(f"[red]the run failed without a failed stage[/red]; look at {laptop.log('scheduler')}", soft_wrap=True)


def log_of(laptop: Laptop, dag: str, run_id: str, task: TaskState) -> Path:
    """Where Airflow wrote the task's last try."""
    logs = laptop.airflow_home / "logs" / f"dag_id={dag}" / f"run_id={run_id}"
    return logs / f"task_id={task.name}" / f"attempt={task.tries}.log"


def _entries(log: Path) -> list[Any]:
    """The entries of a log file, one to a line; lines of another form are left out."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    entries = []
    for line in lines:
        with suppress(ValueError):
            entries.append(json.loads(line))
    return entries


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
