"""Verification with a hard deadline: worker processes that are ended and replaced when they exceed it.

A deadline is processor time, which the kernel counts for a worker: a loaded machine takes no verdict away. Wall time ends only a
worker that sleeps.

Workers are plain child processes, not forks or spawns of the caller: they start in half a second whatever the caller has loaded,
and never rerun its main module. They start when first needed and stay until the pool closes.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from stillhouse.errors import EngineFailed
from stillhouse.execution import processes
from stillhouse.verification.verdict import Verdict, VerificationRequest
from stillhouse.verification.verifier import LoadedVerifiers
from stillhouse.verification.worker_state import is_runnable, processor_time_s, time_to_start_s
from stillhouse.vocabulary.categories import Category

LOOK_AGAIN_S = 0.2
"""Seconds between two looks at a worker that is past its wall time and may be sleeping."""
START_LOOK_S = 120
"""Seconds between two looks at a worker that is not ready."""
IN_FLIGHT_PER_WORKER = 64
"""Requests read ahead: enough to keep workers busy behind a slow one, few enough to stream."""


@dataclass(eq=False)
class _VerificationJob:
    """One request in progress; ``verdict`` is None until it arrives."""

    request: VerificationRequest
    verdict: Verdict | None = None


@dataclass(eq=False)
class _Worker:
    """One process; ``job`` is its present task, or the one it loads a verifier for, and ``due`` is when it is looked at again.

    ``used_s``: the processor time it had used when it was looked at last.
    """

    process: "subprocess.Popen[bytes]"
    job: _VerificationJob | None = None
    due: float = 0.0
    used_s: float = 0.0
    warm: set[Category] = field(default_factory=set)
    warming: list[Category] = field(default_factory=list)
    """What it loads before its first job, in order."""
    received: bytearray = field(default_factory=bytearray)

    @property
    def fd(self) -> int:
        """The descriptor from which its verdicts are read."""
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    @property
    def loading(self) -> bool:
        """Whether it is still loading the verifier of its job."""
        return bool(self.warming) or (self.job is not None and self.job.request.category not in self.warm)


class VerifierPool:
    """A context manager around worker processes. Not for use by two threads at a time."""

    def __init__(self, timeout_s: float, workers: int | None = None, verifiers: Mapping[Category, str] | None = None) -> None:
        """``timeout_s``: seconds of processor time for one answer, and of wall time for a worker that sleeps.

        ``workers``: one per usable core if None.

        ``verifiers``: extensions by category, in place of the built-in verifiers.
        """
        self._timeout_s = timeout_s
        self._extensions: dict[Category, str] = dict(verifiers or {})
        self._verifiers = LoadedVerifiers(self._extensions)
        self._limit = workers or processes.usable_cores()
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        for worker in list(self._workers):
            self._end(worker)
        self._selector.close()

    @property
    def verifiers(self) -> LoadedVerifiers:
        """The verifiers of this process, by category."""
        return self._verifiers

    def extension(self, category: Category) -> str:
        """The pinned name of the extension that scores the category; empty if there is none."""
        return self._extensions.get(category, "")

    def begin_warming(self, categories: Iterable[Category]) -> None:
        """Start all workers, and have them load the verifiers of these categories while this process does something else."""
        missing = [category for category in dict.fromkeys(categories) if category in self._verifiers]
        for worker in [self._start() for _ in range(self._limit - len(self._workers) if missing else 0)]:
            worker.warming, worker.due = list(missing), time.monotonic() + START_LOOK_S
            for category in missing:
                self._write(worker, {"warm": category})

    def finish_warming(self) -> None:
        """Wait until the workers have loaded what they were asked to. Raises EngineFailed if they cannot."""
        while warming := [worker for worker in self._workers if worker.warming]:
            for key, _ in self._selector.select(max(0.0, min(worker.due for worker in warming) - time.monotonic())):
                self._receive(key.data)
            for worker in [worker for worker in warming if worker.warming and worker.due < time.monotonic()]:
                self._wait_longer(worker)

    def verify(self, requests: Iterable[VerificationRequest]) -> Iterator[Verdict]:
        """One verdict for every request, in order, reading a bounded number of requests ahead.

        Raises BadRows for a category without a verifier, EngineFailed if workers do not start.
        """
        self.finish_warming()
        source, window, waiting = iter(requests), deque[_VerificationJob](), deque[_VerificationJob]()
        ahead = self._limit * IN_FLIGHT_PER_WORKER
        try:
            while True:
                self._fill(source, window, waiting, ahead)
                if not window:
                    return
                while window and window[0].verdict is not None:
                    yield window.popleft().verdict  # type: ignore[misc]
                if any(job.verdict is None for job in window):
                    self._dispatch(waiting)
                    self._collect()
        finally:
            # If the caller stops early, a busy worker would answer the next caller's request with this one's verdict.
            for worker in [worker for worker in self._workers if worker.job is not None]:
                self._end(worker)

    def _fill(
        self, source: Iterator[VerificationRequest], window: deque[_VerificationJob], waiting: deque[_VerificationJob], ahead: int
    ) -> None:
        """Read requests until ``ahead`` are in the window; those that need no worker get their verdict here."""
        while len(window) < ahead:
            request = next(source, None)
            if request is None:
                return
            job = _VerificationJob(request, self._verifiers.of(request.category).fast_path(request))
            window.append(job)
            if job.verdict is None:
                waiting.append(job)

    def _dispatch(self, waiting: deque[_VerificationJob]) -> None:
        """Hand jobs to idle workers, and start further workers for the rest."""
        for worker in [worker for worker in self._workers if worker.job is None]:
            if not waiting:
                return
            self._give(worker, waiting.popleft())
        while waiting and len(self._workers) < self._limit:
            self._give(self._start(), waiting.popleft())

    def _start(self) -> _Worker:
        package_root = Path(__file__).parents[2]
        paths = [str(package_root), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        process = subprocess.Popen(
            [sys.executable, "-m", "stillhouse.verification.worker", str(self._timeout_s), json.dumps(self._extensions)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        worker = _Worker(process)
        self._workers.append(worker)
        self._selector.register(worker.fd, selectors.EVENT_READ, worker)
        return worker

    def _give(self, worker: _Worker, job: _VerificationJob) -> None:
        """Send the job; before a worker's first job of a category, have it load the verifier, which counts towards no deadline."""
        worker.job = job
        if worker.loading:
            worker.due, message = time.monotonic() + START_LOOK_S, {"warm": job.request.category}
        else:
            verifier = self._verifiers.of(job.request.category)
            worker.due, message = time.monotonic() + self._deadline_s(job), asdict(verifier.trimmed(job.request))
            worker.used_s = processor_time_s(worker.process.pid)
        self._write(worker, message)

    def _write(self, worker: _Worker, message: Mapping[str, Any]) -> None:
        assert worker.process.stdin is not None
        try:
            worker.process.stdin.write(json.dumps(message).encode() + b"\n")
            worker.process.stdin.flush()
        except BrokenPipeError:
            self._bury(worker)

    def _deadline_s(self, job: _VerificationJob) -> float:
        return self._verifiers.of(job.request.category).deadline_s(job.request, self._timeout_s)

    def _collect(self) -> None:
        """Wait for the next verdict or deadline. Arrived verdicts are read before deadlines are checked."""
        working = [worker for worker in self._workers if worker.job is not None]
        if not working:
            return
        wait_s = min(worker.due for worker in working) - time.monotonic()
        for key, _ in self._selector.select(max(0.0, wait_s)):
            self._receive(key.data)
        now = time.monotonic()
        for worker in [worker for worker in self._workers if worker.job is not None and worker.due < now]:
            assert worker.job is not None
            if worker.loading:
                self._wait_longer(worker)
                continue
            if self._works(worker):
                worker.due = now + LOOK_AGAIN_S
                continue
            worker.job.verdict = self._timeout(worker.job)
            self._end(worker)

    def _wait_longer(self, worker: _Worker) -> None:
        """Look at a worker that is not ready. Raises EngineFailed if it does nothing, or has used its processor time."""
        worker.used_s, worker.due = time_to_start_s(worker.process.pid, worker.used_s), time.monotonic() + START_LOOK_S

    def _works(self, worker: _Worker) -> bool:
        """Whether a worker past its wall time is running or waiting for a core; the kernel ends it at its processor time."""
        used_s, before_s = processor_time_s(worker.process.pid), worker.used_s
        worker.used_s = used_s
        return is_runnable(worker.process.pid) or used_s > before_s + LOOK_AGAIN_S / 2

    def _receive(self, worker: _Worker) -> None:
        """Read from a worker; a verdict is complete when its line is."""
        data = os.read(worker.fd, 65536)
        if not data:
            self._bury(worker)
            return
        worker.received += data
        if not worker.received.endswith(b"\n"):
            return
        lines = worker.received.splitlines()
        worker.received.clear()
        for line in lines:  # several only while it warms: a job is sent once the one before is answered
            self._take(worker, json.loads(line))

    def _take(self, worker: _Worker, message: dict[str, Any]) -> None:
        """Take in one reply of a worker."""
        if "failed" in message:
            msg = f"the verifier cannot be loaded: {message['failed']}; install stillhouse[worker]"
            raise EngineFailed(msg)
        if worker.warming:
            worker.warm.add(worker.warming.pop(0))
            return
        job = worker.job
        assert job is not None
        if "ready" in message:
            worker.warm.add(job.request.category)
            self._give(worker, job)
        else:
            job.verdict, worker.job = Verdict(**message), None

    def _bury(self, worker: _Worker) -> None:
        """Remove a worker that died on its own; its job gets a verdict that says so."""
        code = self._end(worker)
        if worker.loading:
            msg = f"a verification worker ended with code {code} before it was ready; see its messages on standard error"
            raise EngineFailed(msg)
        if worker.job is None:
            return
        if code == -signal.SIGPROF:
            verifier = self._verifiers.of(worker.job.request.category)
            worker.job.verdict = verifier.unfinished(worker.job.request, self._deadline_s(worker.job))
        else:
            worker.job.verdict = Verdict("error", None, worker.job.request.category, f"the worker died with code {code}")

    def _timeout(self, job: _VerificationJob) -> Verdict:
        seconds = self._deadline_s(job)
        return Verdict("timeout", None, job.request.category, f"no verdict after {seconds:g} s", seconds)

    def _end(self, worker: _Worker) -> int:
        """Kill the process if it is alive, and forget it. Returns its exit code; a negative one is the signal that ended it."""
        self._selector.unregister(worker.fd)
        self._workers.remove(worker)
        worker.process.kill()
        code = worker.process.wait()
        for pipe in (worker.process.stdin, worker.process.stdout):
            if pipe is not None:
                _close(pipe)
        return code


def _close(pipe: Any) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        # Bytes buffered for a dead worker are lost.
        return
