"""Wait out outages of a store: requests that may succeed later are repeated, with backoff and jitter."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from stillhouse.vocabulary import environment
from stillhouse.vocabulary.patience import retried

T = TypeVar("T")

VARIABLE, PATIENCE_S = "STILLHOUSE_STORE_PATIENCE_S", 120.0
FIRST_PAUSE_S = 0.1
REPORTED_AT = 4
"""Failures in a row after which the outage is reported."""
_limit: ContextVar[float | None] = ContextVar("limit", default=None)


@contextmanager
def at_most(limit_s: float) -> Iterator[None]:
    """Inside the block, this thread's requests are repeated for at most ``limit_s`` seconds."""
    token = _limit.set(limit_s)
    try:
        yield
    finally:
        _limit.reset(token)


def patiently(uri: str, request: Callable[[], T], may_pass: Callable[[Exception], bool]) -> T:
    """The result of ``request``, which is repeated on errors that may pass until the patience runs out."""
    limit = _limit.get()
    until = time.monotonic() + (environment.number(VARIABLE, PATIENCE_S) if limit is None else limit)

    def report(failures: int, error: Exception) -> None:
        if failures == REPORTED_AT and limit is None:  # the heartbeat stays silent
            left = until - time.monotonic()
            print(f"  {uri}: the store does not answer ({error}); trying for {left:.0f} s more", file=sys.stderr, flush=True)

    return retried(
        request, until_s=until, is_refusal=lambda error: not may_pass(error), on_failure=report, first_pause_s=FIRST_PAUSE_S
    )
