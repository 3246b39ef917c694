"""What every benchmark needs: a clock, the process's peak memory, and a table of ratios."""

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, NamedTuple


@dataclass
class Timing:
    """Wall seconds of a ``timed`` block, known once it ended."""

    seconds: float = 0.0


@contextmanager
def timed() -> Iterator[Timing]:
    """Time the block."""
    made, started = Timing(), time.perf_counter()
    yield made
    made.seconds = time.perf_counter() - started


def best_of(runs: int, call: Callable[[], Any]) -> float:
    """The shortest wall time in seconds of ``runs`` calls: the one that other processes disturbed least."""
    seconds = []
    for _ in range(runs):
        with timed() as timing:
            call()
        seconds.append(timing.seconds)
    return min(seconds)


def peak_gib() -> float:
    """Peak resident memory of this process and of its largest ended child, in GiB."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 2**20


class Measured(NamedTuple):
    """Wall seconds, seconds of all cores together (which other processes disturb little), and peak GiB of a call."""

    seconds: float
    busy: float
    peak: float


def measured(call: Callable[[Any], Any], given: Any, prepare: Callable[[Any], Any] | None = None) -> Measured:
    """A call in a process of its own. ``prepare`` makes what it is given first, untimed."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_measure, call, given, prepare).result()


def _measure(call: Callable[[Any], Any], given: Any, prepare: Callable[[Any], Any] | None) -> Measured:
    import numpy  # noqa: F401
    import polars  # noqa: F401

    if prepare is not None:
        given = prepare(given)
    busy = time.process_time()
    with timed() as timing:
        call(given)
    return Measured(timing.seconds, time.process_time() - busy, peak_gib())


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print an aligned table; floats with three significant digits, whole numbers with thousands marked."""
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(header))]
    for row in cells:
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(["", row[0].ljust(widths[0]), *numbers]), flush=True)


def _cell(value: Any) -> str:
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
