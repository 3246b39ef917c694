import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from stillhouse.errors import EngineFailed
from stillhouse.verification import pool as pools
from stillhouse.verification import worker_state
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.verdict import VerificationRequest
from stillhouse.verification.worker_state import is_runnable, processor_time_s, time_to_start_s


@contextmanager
def waits_after(code):
    """A process that runs the code, then waits for its input to end."""
    command = [sys.executable, "-c", f"{code}\nprint(flush=True)\ninput()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        while is_runnable(process.pid):
            os.sched_yield()
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def waiting():
    with waits_after("") as process:
        yield process


@pytest.fixture
def working():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield process
        process.kill()


def test_time_to_start_counts_on_for_one_that_works_whatever_the_clock_says(working):
    used_s = time_to_start_s(working.pid, -1.0)
    assert time_to_start_s(working.pid, used_s) >= used_s


def test_time_to_start_of_one_that_sleeps_ends_the_wait(waiting):
    before_s = time_to_start_s(waiting.pid, -1.0)
    with pytest.raises(EngineFailed, match="is not ready after"):
        time_to_start_s(waiting.pid, before_s)


def test_time_to_start_is_bounded_by_processor_time(working, monkeypatch):
    monkeypatch.setattr(worker_state, "START_CPU_S", -1)
    with pytest.raises(EngineFailed, match="s of processor time"):
        time_to_start_s(working.pid, -1.0)


def test_time_to_start_counts_what_runs_below_the_worker():
    below = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\nprint(flush=True); input()"
    starter = f"import subprocess, sys\nbelow = subprocess.Popen([sys.executable, '-c', {below!r}], stdout=subprocess.PIPE)"
    with waits_after(f"{starter}\nbelow.stdout.readline()") as worker:
        assert time_to_start_s(worker.pid, -1.0) > processor_time_s(worker.pid) + 0.25


def test_pool_on_a_busy_machine_waits_longer_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr(pools, "START_LOOK_S", 0.02)
    with VerifierPool(20, workers=1) as pool:
        pool.begin_warming(["math"])
        verdict = next(iter(pool.verify([VerificationRequest("math", "\\boxed{\\int_0^7 dx}", "7")])))
    assert verdict.kind == "correct"
    assert "is still starting" in caplog.text
