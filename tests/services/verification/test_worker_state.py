import os
import subprocess
import sys

import pytest

from stillhouse.errors import EngineFailed
from stillhouse.verification import pool as pools
from stillhouse.verification import worker_state
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.verdict import VerificationRequest
from stillhouse.verification.worker_state import is_runnable, time_to_start_s


@pytest.fixture
def waiting():
    """A process that waits for its input to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )  # fmt: skip
    process.stdout.readline()
    while is_runnable(process.pid):
        os.sched_yield()
    yield process
    process.kill()
    process.communicate()


def test_time_to_start_counts_on_for_one_that_works_whatever_the_clock_says():
    assert time_to_start_s(os.getpid(), 0.0) > 0


def test_time_to_start_of_one_that_sleeps_ends_the_wait(waiting):
    before_s = time_to_start_s(waiting.pid, -1.0)
    with pytest.raises(EngineFailed, match="is not ready after"):
        time_to_start_s(waiting.pid, before_s)


def test_time_to_start_is_bounded_by_processor_time(monkeypatch):
    monkeypatch.setattr(worker_state, "START_CPU_S", 0)
    with pytest.raises(EngineFailed, match="s of processor time"):
        time_to_start_s(os.getpid(), 0.0)


def test_time_to_start_counts_what_runs_below_the_worker():
    here_s = time_to_start_s(os.getpid(), 0.0)
    command = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        assert time_to_start_s(os.getpid(), 0.0) > here_s + 0.25


def test_pool_on_a_busy_machine_waits_longer_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr(pools, "START_LOOK_S", 0.02)
    with VerifierPool(20, workers=1) as pool:
        pool.begin_warming(["math"])
        verdict = next(iter(pool.verify([VerificationRequest("math", "\\boxed{\\int_0^7 dx}", "7")])))
    assert verdict.kind == "correct"
    assert "is still starting" in caplog.text
