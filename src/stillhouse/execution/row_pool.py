"""Work on rows in all cores that this process is given: batches go to processes, and results come back in the batches' order.

The result does not depend on the number of processes. Few batches are worked on here: processes take seconds to start.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import Any, TypeVar

from joblib.externals import loky

from stillhouse.errors import EngineFailed
from stillhouse.execution import processes

B = TypeVar("B")
R = TypeVar("R")

FEW = 8
"""Batches that are worked on in this process."""
AHEAD = 3
"""Batches that wait for each process: enough to keep it busy, few enough to stream."""
_work: Callable[[Any], Any] | None = None


def mapped(build: Callable[[], Callable[[B], R]], batches: Iterable[B], cores: int | None = None) -> Iterator[R]:
    """The results of ``build()`` on every batch, in order. Each process calls ``build`` once; it and the batches are pickled.

    ``cores``: processes; None takes all cores of this process. An error of one batch is raised here. Raises EngineFailed if a
    process is killed.
    """
    source, cores = iter(batches), processes.share_of_cores() if cores is None else cores
    few = list(islice(source, FEW + 1 if cores > 1 else 0))
    if len(few) > FEW:
        yield from _in_processes(build, chain(few, source), cores)
    else:
        yield from map(build(), chain(few, source))


def _in_processes(build: Callable[[], Callable[[B], R]], batches: Iterable[B], cores: int) -> Iterator[R]:
    waiting: deque[Future[R]] = deque()
    # loky's processes neither fork this one, whose libraries have threads, nor run its main module again.
    pool = loky.ProcessPoolExecutor(cores, initializer=_start, initargs=(build,))
    try:
        for batch in batches:
            waiting.append(pool.submit(_do, batch))
            if len(waiting) > AHEAD * cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        msg = (
            f"one of {cores} processes ended while it worked on rows; was it killed for memory? give the task more, or fewer cores"
        )
        raise EngineFailed(msg) from error
    finally:
        pool.shutdown(wait=True, kill_workers=True)


def _start(build: Callable[[], Callable[[Any], Any]]) -> None:
    global _work  # noqa: PLW0603 - what a process of the pool works with
    _work = build()


def _do(batch: Any) -> Any:
    assert _work is not None
    return _work(batch)
