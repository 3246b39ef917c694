"""A DAG run on a terminal, until it ends: a table that is redrawn in place, or a line for every change."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from stillhouse.vocabulary.masking import printable
from stillhouse.watching.airflow_rest import ENDED
from stillhouse.watching.run_lines import Line

ASK_EVERY_S = 1.0
SAY_EVERY_S = 15.0
STATES = {
    "success": "[green]done[/green]", "running": "[cyan]running[/cyan]", "failed": "[red]failed[/red]",
    "upstream_failed": "[red]not reached[/red]", "up_for_retry": "[yellow]tried, again soon[/yellow]",
    "deferred": "[cyan]running[/cyan]",
}  # fmt: skip
SILENT = ("waiting", "scheduled", "queued", "upstream_failed", "skipped")
"""States that are not worth a line of their own."""
Update = Callable[[list[Line]], None]


def follow(console: Console, state: Callable[[], str], lines: Callable[[], list[Line]], *, plain: bool = False) -> str:
    """Show the run until it ends; returns its last state. ``plain`` prints lines alone, as is done where there is no terminal."""
    show = _plain if plain or not console.is_terminal else _live
    with show(console) as update:
        while True:
            now = state()
            update(lines())
            if now in ENDED:
                return now
            time.sleep(ASK_EVERY_S)


@contextmanager
def _live(console: Console) -> Iterator[Update]:
    """A table that is redrawn in place."""
    last: list[Line] = []

    def update(lines: list[Line]) -> None:
        last[:] = lines
        live.update(table(lines, console.height - 3), refresh=True)

    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        yield update
        # Printed once more as Live ends: the whole path, even if it is taller than the terminal.
        live.update(table(last, len(last)))


def table(lines: list[Line], rows: int) -> Group:
    """One row to a task, and below what all cost.

    Live can redraw only one screen: beyond ``rows`` tasks, the first finished ones share one row.
    """
    shown = Table("stage", "state", "progress", "", "rate", "left", "time", box=None, pad_edge=False, header_style="bold")
    for number in (4, 5, 6):
        shown.columns[number].justify = "right"
    done = [line for line in lines if line.task.state == "success"]
    folded = done[: len(lines) - rows + 1] if len(lines) > rows else []
    if folded:
        shown.add_row(f"{len(folded)} stages", STATES["success"], "", "", "", "", clock(sum(line.task.seconds for line in folded)))
    for line in (line for line in lines if line not in folded):
        shown.add_row(*_cells(line))
    return Group(shown, f"[dim]{_totals(lines)}[/dim]")


def _cells(line: Line) -> tuple[str | ProgressBar, ...]:
    task, progress = line.task, line.progress
    bar = ProgressBar(total=1.0, completed=progress.share, width=24) if progress else ""
    count = f"{progress.done:,.0f} of {progress.total:,.0f}" if progress and progress.total else ""
    rate = f"{progress.rate:,.3g}/s" if progress and progress.rate else ""
    left = clock(progress.eta_s) if progress and progress.eta_s is not None else ""
    timed = task.state in {"running", "deferred", *ENDED}
    return _name(line), _state(task.state), bar, count, rate, left, clock(task.seconds) if timed else ""


def _totals(lines: list[Line]) -> str:
    """What all tasks cost so far; GPU-hours where a task has GPUs."""
    ended = sum(line.task.state in ENDED for line in lines)
    gpu, cpu = sum(line.gpu_hours for line in lines), sum(line.cpu_hours for line in lines)
    hours = f"{gpu:,.2f} GPU-hours · " if gpu else ""
    return f"{ended} of {len(lines)} stages ended · {hours}{cpu:,.2f} core-hours so far"


@contextmanager
def _plain(console: Console) -> Iterator[Update]:
    """A line for every change of state, and for progress now and then; one for all tasks that were not reached."""
    states: dict[str, str] = {}
    printed: dict[str, float] = {}
    last: list[Line] = []

    def update(lines: list[Line]) -> None:
        last[:] = lines
        for line in lines:
            name, state, now = line.task.name, line.task.state, time.monotonic()
            if states.get(name, "waiting") != state and state not in SILENT:
                states[name], printed[name] = state, now
                took = f" in {clock(line.task.seconds)}" if state in ENDED else ""
                console.print(f"{_name(line):18} {_state(state)}{took}", soft_wrap=True)
            elif line.progress and line.progress.total and now - printed.get(name, now) >= SAY_EVERY_S:
                printed[name] = now
                console.print(f"{_name(line):18} {_progress(line)}", soft_wrap=True)

    yield update
    unreached = sum(line.task.state not in ENDED for line in last)
    if unreached:
        console.print(f"{unreached} stage{'s' if unreached > 1 else ''} not reached")


def _progress(line: Line) -> str:
    progress = line.progress
    if progress is None:
        return ""
    left = f", {clock(progress.eta_s)} left" if progress.eta_s is not None else ""
    return f"{progress.done:,.0f} of {progress.total:,.0f} ({progress.share:.0%}{left})"


def _name(line: Line) -> str:
    """The task's name; of a mapped one with how many of its instances ended."""
    count = f" {line.n_done}/{line.n_instances}" if line.n_instances > 1 else ""
    return escape(printable(line.task.name)) + count


def _state(state: str) -> str:
    return STATES.get(state, f"[dim]{escape(printable(state))}[/dim]")


def clock(seconds: float) -> str:
    """Minutes and seconds, ``14:09``; from an hour on with hours, ``2:05:00``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
