"""Spools -> the tracking server: a thread that sends in order, waits out outages, and never holds up the stage."""

import math
import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from stillhouse.execution.mlflow_runs import Away, Denied, Refused
from stillhouse.execution.run_spool import Record, RunSpool, abandoned
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.patience import backoff_s
from stillhouse.vocabulary.text import shortened

GATHER_S = 1.0
"""How long the thread lets records gather before it sends them together."""
BATCH_RECORDS = 1000
SAID_AFTER_S = 5.0
"""Seconds without an answer after which the outage is reported, once."""
LONGEST_PAUSE_S = 30.0
"""Seconds between tries in an outage: short, so that a returning server is noticed before the stage ends."""


class TrackingServer(Protocol):
    """What delivery needs of ``mlflow_runs.Server``."""

    def create(self, header: Record, *, again: bool) -> str:
        """The run's id."""

    def send(self, run_id: str, records: Sequence[Record], directory: Path) -> None:
        """Log the records."""


def deliver(spool: RunSpool, server: TrackingServer, refused: list[str], *, again: bool = True) -> int:
    """Send one batch of a spool after creating its run, if need be. Returns the number of records sent, 0 if none was waiting.

    A record that the server refuses is passed over, and its reason is added to ``refused``. Raises Away or Denied; then nothing is
    lost, and the next call begins with the same record. ``again`` says that an earlier call may have created the run unnoticed.
    """
    if not spool.header.get("run_id"):
        spool.created(server.create(spool.header, again=again))
    batch = spool.waiting(BATCH_RECORDS)
    for records in _together(batch):
        try:
            server.send(spool.header["run_id"], records, spool.path.parent)
        except Denied:
            raise
        except Refused as error:
            refused.append(str(error))
        spool.sent(records[-1]["n"])
    return len(batch)


def deliver_abandoned(server: TrackingServer, address: str, stopped: Callable[[], bool] = lambda: False) -> tuple[int, int]:
    """Send what killed or impatient processes left on this machine. Returns how many runs are now complete and how many are not.

    A run whose process was killed is closed as KILLED, unless another try has closed it. Raises Denied.
    """
    complete = left = 0
    for spool in abandoned(address):
        try:
            if not spool.header.get("ended"):
                _end_killed(spool)
            while not stopped() and deliver(spool, server, []):
                pass
        except Away:
            pass  # counted as left below; the spool keeps it
        except Denied:
            spool.close()
            raise
        if spool.sent_to == spool.last and spool.header.get("run_id"):
            spool.remove()
            complete += 1
        else:
            spool.close()
            left += 1
    return complete, left


def _end_killed(spool: RunSpool) -> None:
    """Add the end that a killed process could not write."""
    ends = [record for record in spool.waiting(sys.maxsize) if record["kind"] == "end"]
    if not ends:
        at = round(spool.path.stat().st_mtime * 1000)
        spool.append({"kind": "end", "status": "KILLED", "at": at, "if_running": True})
    spool.header["ended"] = True


def _together(records: Sequence[Record]) -> list[list[Record]]:
    """Neighbouring metrics in one request, every other record in a request of its own; the order stays."""
    groups: list[list[Record]] = []
    for record in records:
        if groups and record["kind"] == groups[-1][0]["kind"] == "metrics":
            groups[-1].append(record)
        else:
            groups.append([record])
    return groups


class Delivery(threading.Thread):
    """Sends one run's spool while the stage runs, and until ``finish`` loses patience."""

    def __init__(self, spool: RunSpool, server: TrackingServer, address: str) -> None:
        super().__init__(name="tracking", daemon=True)
        self.refused: list[str] = []
        """Why the server refused single records."""
        self.denied: str | None = None
        """Why the server refuses the run or the credentials; None if it does not."""
        self._spool, self._server, self._address = spool, server, address
        self._tried, self._closing, self._abandoned = threading.Event(), threading.Event(), threading.Event()
        self._complete = threading.Event()
        self._said = False

    def wait_for_run(self, seconds: float) -> None:
        """Return once the run was created or a first try failed, or after so many seconds."""
        self._tried.wait(seconds)

    def finish(self, patience_s: float) -> bool:
        """Wait for the rest to be sent. Returns whether all of it was; if not, the spool stays for a later process."""
        self._closing.set()
        complete = self._complete.wait(patience_s)
        self._abandoned.set()
        return complete

    def run(self) -> None:
        """The thread: send what waits, then let more gather; in an outage, pause and send the same again."""
        failures, away_since = 0, math.inf
        while not self._abandoned.is_set():
            closing = self._closing.is_set()
            try:
                n_sent = deliver(self._spool, self._server, self.refused, again=self._tried.is_set())
            except (Away, Refused, OSError) as error:
                failures, away_since = failures + 1, min(away_since, time.monotonic())
                self.denied = str(error) if isinstance(error, Refused) else None
                self._say(error, time.monotonic() - away_since)
                self._tried.set()
                self._pause(min(LONGEST_PAUSE_S, backoff_s(failures, random.random())))
                continue
            failures, away_since, self.denied = 0, math.inf, None
            self._tried.set()
            if closing and not n_sent:
                self._complete.set()
                return
            if n_sent < BATCH_RECORDS:
                self._closing.wait(GATHER_S)

    def _pause(self, seconds: float) -> None:
        """Wait; once the stage has ended, at most a second, so that its patience sees several tries."""
        if not self._closing.wait(seconds):
            return
        self._abandoned.wait(min(seconds, 1.0))

    def _say(self, error: Exception, seconds: float) -> None:
        """Say once that the server is away, after it has been away for a moment."""
        if seconds >= SAID_AFTER_S and not self._said:
            self._said = True
            outage = f"MLflow at {self._address} does not answer ({shortened(one_line(error), 200)})"
            print(f"  {outage}; the stage goes on, and its numbers wait on this disk", file=sys.stderr, flush=True)
