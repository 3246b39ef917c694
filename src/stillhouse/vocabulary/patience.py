"""Retries by kind: a refusal is raised at once, anything else is tried again with growing pauses until a deadline."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0


def backoff_s(failures: int, jitter: float, first_pause_s: float = FIRST_PAUSE_S) -> float:
    """Seconds to wait after this many failures in a row: doubling up to a bound, times 0.5 to 1.5 by ``jitter`` in [0, 1)."""
    return min(LONGEST_PAUSE_S, first_pause_s * 2.0 ** min(failures - 1, 30)) * (0.5 + jitter)


def retried(
    call: Callable[[], T],
    *,
    until_s: float,
    is_refusal: Callable[[Exception], bool],
    on_failure: Callable[[int, Exception], object] = lambda failures, error: None,
    first_pause_s: float = FIRST_PAUSE_S,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """What ``call`` returns, tried again after each failure until ``clock()`` would pass ``until_s``.

    Raises the error of the last try: at once where ``is_refusal`` says that another try would meet it again, otherwise when the
    next pause would end after the deadline. The first try is always made. Before each pause ``on_failure`` is called with the
    number of failures so far and the error.
    """
    failures = 0
    while True:
        try:
            return call()
        except Exception as error:
            failures += 1
            pause_s = backoff_s(failures, random.random(), first_pause_s)
            if is_refusal(error) or clock() + pause_s > until_s:
                raise
            on_failure(failures, error)
        sleep(pause_s)
