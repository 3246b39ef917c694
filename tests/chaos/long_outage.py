"""A SeaweedFS that is killed under a writer and is back ten minutes later, beside the other trials: it costs ten minutes."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from stillhouse.artifacts import s3, store
from tests.chaos.trials import Tally, check, prepared, writer
from tests.conftest import BUCKET, s3_ports, s3_serving

AWAY_S = 600.0
PARTS_BEFORE, PAUSE_S = 3, 0.5
"""Parts that the writer has published when the store goes, and seconds that each takes it."""
PATIENCE_S = 1800
"""The chart's ``stages.storePatienceSeconds``."""
LONGEST_S = 300


class Outage:
    """One writer, and the store that it loses."""

    def __init__(self, directory: Path, seed: int, held: ExitStack) -> None:
        self._held, self._ended = held, threading.Event()
        self._directory, self._ports = directory, s3_ports()
        self.environment, server = held.enter_context(s3_serving(directory, self._ports))
        with self.reachable():
            stage = self._stage = prepared(f"s3://{BUCKET}/chaos", seed)
            self._output = stage.output(seed)
            more = {**self.environment, "STILLHOUSE_STORE_PATIENCE_S": str(PATIENCE_S)}
            self._writer = writer(stage.questions, self._output, "x", PAUSE_S, more, directory / "log-of-the-writer")
            held.callback(self._writer.kill)
            self._await_parts()
        os.killpg(server.pid, signal.SIGKILL)
        self._gone = time.monotonic()
        self._return = held.enter_context(ThreadPoolExecutor(1)).submit(self._serve_again)
        held.callback(self._ended.set)  # before the pool is waited for

    def finish(self) -> tuple[Tally, float]:
        """What came of it, and the seconds from the kill to the writer's end."""
        seconds = self._return.result()
        tally = Tally(trials=1, faults=1)
        tally.codes.update([self._writer.wait()])
        with self.reachable():
            check(self._output, tally, killed=False)
            tally.touched += self._stage.touched()
        return tally, seconds

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """This process uses the server inside the block."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            s3._s3.cache_clear()
            yield
        s3._s3.cache_clear()

    def _await_parts(self) -> None:
        while sum("part-" in name for name in store.store_of(self._output).names(self._output)) < PARTS_BEFORE:
            assert self._writer.poll() is None
            time.sleep(0.05)

    def _serve_again(self) -> float:
        """Bring the store back in time, and wait for the writer's end; returns the seconds since the kill."""
        if not self._ended.wait(AWAY_S):
            self._held.enter_context(s3_serving(self._directory, self._ports))
            self._writer.wait(LONGEST_S)
        return time.monotonic() - self._gone
