"""A store that is away for a while costs that while: requests that may pass are tried again, with backoff and jitter."""

import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from stillhouse.errors import BadConfig

T = TypeVar("T")

VARIABLE, PATIENCE_S = "STILLHOUSE_STORE_PATIENCE_S", 120.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0
_limit: ContextVar[float | None] = ContextVar("limit", default=None)


def seconds(variable: str, default: float) -> float:
    """The variable as a number above 0; ``default`` if it is unset or empty. Raises BadConfig for anything else."""
    text = os.environ.get(variable, "")
    try:
        value = float(text or default)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        msg = f"{variable}={text}: not a number of seconds above 0"
        raise BadConfig(msg)
    return value


@contextmanager
def at_most(limit_s: float) -> Iterator[None]:
    """Inside the block, requests of this thread are tried again for at most ``limit_s`` seconds."""
    token = _limit.set(limit_s)
    try:
        yield
    finally:
        _limit.reset(token)


def patiently(uri: str, request: Callable[[], T], may_pass: Callable[[Exception], bool]) -> T:
    """The result of ``request``, which is repeated while it raises errors that may pass, for as long as the patience lasts."""
    begun, pause, attempts = time.monotonic(), FIRST_PAUSE_S, 0
    limit = _limit.get()
    until = begun + (seconds(VARIABLE, PATIENCE_S) if limit is None else limit)
    while True:
        attempts += 1
        try:
            return request()
        except Exception as error:
            if not may_pass(error) or time.monotonic() + pause > until:
                raise
            if attempts == 4 and limit is None:  # a heartbeat need not say it too
                left = until - time.monotonic()
                print(f"  {uri}: the store does not answer ({error}); trying for {left:.0f} s more", file=sys.stderr, flush=True)
        time.sleep(pause * random.uniform(0.5, 1.0))  # not all writers at once
        pause = min(2 * pause, LONGEST_PAUSE_S)
