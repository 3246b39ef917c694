import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.errors import BadConfig, BadRows
from stillhouse.execution import extensions
from stillhouse.verification import pool as pools
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.verdict import VerificationRequest
from tests.services.verification.sandbox.traces import descendants

INTEGRAL = "\\boxed{\\int_0^7 dx}"
"""A right answer to 7 that needs a worker."""
HOSTILE = "\\boxed{\\prod_{k=1}^{10^9} k}"


def ask(answer, reference="7"):
    return VerificationRequest("math", answer, reference)


def kinds(pool, answers):
    return [verdict.kind for verdict in pool.verify(map(ask, answers))]


@pytest.fixture
def pids(monkeypatch):
    """The processes a pool starts, as they are started."""
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(pools.subprocess, "Popen", Recorded)
    return started


def alive(process):
    return Path(f"/proc/{process.pid}").exists()


def test_pool_plain_integers_need_no_process(pids):
    with VerifierPool(5, workers=2) as pool:
        assert kinds(pool, ["\\boxed{7}", "8", None]) == ["correct", "wrong", "no_answer"]
    assert pids == []


def test_pool_verdicts_come_in_the_order_of_requests(pids):
    answers = [f"\\boxed{{\\int_0^{{{number}}} dx}}" for number in range(40)]
    with VerifierPool(20, workers=2) as pool:
        assert kinds(pool, answers) == ["correct" if number == 7 else "wrong" for number in range(40)]
        assert kinds(pool, answers[:3]) == ["wrong"] * 3
        assert len(pids) == 2
    assert not any(alive(process) for process in pids)


def test_pool_hostile_answer_is_killed_at_the_deadline_and_the_rest_goes_on(pids):
    with VerifierPool(1.5, workers=1) as pool:
        assert kinds(pool, [INTEGRAL]) == ["correct"]
        verdicts = list(pool.verify(map(ask, [HOSTILE, INTEGRAL])))
    assert [(verdict.kind, verdict.verify_score) for verdict in verdicts] == [("wrong", 0.0), ("correct", 1.0)]
    assert "unreasonable: no value after 1.5 s of processor time" in verdicts[0].detail
    assert len(pids) == 2
    assert pids[0].returncode == -signal.SIGPROF


def test_pool_worker_that_dies_gives_an_error_and_is_replaced(pids):
    with VerifierPool(20, workers=1) as pool:
        assert kinds(pool, [INTEGRAL]) == ["correct"]
        pids[0].kill()
        verdict, after = pool.verify(map(ask, [INTEGRAL, INTEGRAL]))
    assert (verdict.kind, verdict.verify_score) == ("error", None)
    assert "died" in verdict.detail
    assert after.kind == "correct"


def test_pool_left_early_does_not_mix_up_the_next_call():
    with VerifierPool(20, workers=1) as pool:
        first = pool.verify(map(ask, [INTEGRAL, *["\\boxed{\\int_0^3 dx}"] * 20]))
        assert next(first).kind == "correct"
        first.close()
        assert kinds(pool, [INTEGRAL]) == ["correct"]


def test_pool_reads_no_further_ahead_than_it_must():
    read = []

    def endless():
        while True:
            read.append(1)
            yield ask("7")

    with VerifierPool(5, workers=1) as pool:
        assert next(pool.verify(endless())).kind == "correct"
    assert len(read) <= pools.IN_FLIGHT_PER_WORKER


def test_pool_category_without_a_verifier_is_refused_by_name():
    with VerifierPool(5) as pool, pytest.raises(BadRows, match="'science', only for math"):
        list(pool.verify([VerificationRequest("science", "x", "y")]))


def test_pool_worker_without_its_library_says_what_to_install(monkeypatch, tmp_path):
    (tmp_path / "math_verify.py").write_text("raise ImportError('no math_verify here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with VerifierPool(5, workers=1) as pool, pytest.raises(pools.EngineFailed, match="no math_verify here"):
        kinds(pool, ["\\boxed{\\int_0^8 dx}"])


def test_pool_worker_ends_when_its_parent_is_killed(tmp_path):
    script = (
        "from stillhouse.verification.pool import VerifierPool\n"
        "from stillhouse.verification.verdict import VerificationRequest\n"
        "pool = VerifierPool(1, workers=1)\n"
        "list(pool.verify([VerificationRequest('math', '\\\\boxed{\\\\int_0^7 dx}', '7')]))\n"
        "print(pool._workers[0].process.pid, flush=True)\n"
        f"list(pool.verify([VerificationRequest('math', {HOSTILE!r}, '7')] * 1000))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert ended(worker, within_s=30)


def test_pool_burst_of_two_thousand_gives_no_false_zero_whatever_the_queue(pids):
    answers = [
        f"\\boxed{{\\int_0^{number % 3 + 6} dx}}" if number % 4 == 0 else f"\\boxed{{{number % 3 + 6}}}" for number in range(2000)
    ]
    with VerifierPool(20, workers=2) as pool:
        assert kinds(pool, answers) == ["correct" if number % 3 == 1 else "wrong" for number in range(2000)]
    assert len(pids) == 2


@pytest.mark.parametrize(
    "formula", ["9^{9^{9^9}}", "(10^9)!", "\\prod_{k=1}^{10^9} k", "\\binom{10^9}{5 \\cdot 10^8}"]
)  # fmt: skip
def test_pool_hostile_mathematics_is_wrong_and_takes_no_other_verdict_away(formula):
    with VerifierPool(1, workers=1) as pool:
        assert kinds(pool, [INTEGRAL]) == ["correct"]
        verdict, after = pool.verify(map(ask, [f"\\boxed{{{formula}}}", INTEGRAL]))
    assert (verdict.kind, verdict.verify_score) == ("wrong", 0.0)
    assert after.kind == "correct"


def test_pool_endless_text_never_reaches_a_worker(pids):
    with VerifierPool(1, workers=1) as pool:
        assert kinds(pool, ["\\boxed{" + "(" * 10**8, "\\boxed{7}" + "x" * 10**8]) == ["wrong", "correct"]
    assert pids == []


def test_pool_deeply_nested_answer_harms_no_other():
    nested = "\\boxed{" + "(" * 4000 + "7" + ")" * 4000 + "}"
    with VerifierPool(2, workers=1) as pool:
        found = kinds(pool, [nested, INTEGRAL])
    assert found[0] == "wrong"
    assert found[1] == "correct"


def test_pool_category_s_own_trimming_is_used(monkeypatch):
    seen = []
    sent = {"category": "math", "answer": "7", "reference": "7"}
    monkeypatch.setattr(pools, "asdict", lambda request: seen.append(request) or sent)
    with VerifierPool(5, workers=1) as pool:
        list(pool.verify([VerificationRequest("math", INTEGRAL, "7", prompt="long", test_cases="[]")]))
    assert (seen[0].prompt, seen[0].test_cases) == (None, None)


PATIENT = """
from time import sleep

from stillhouse.verification.verdict import Verdict
from stillhouse.verification.verifier import Verifier


class Patient(Verifier):
    method = "patience"

    def deadline_s(self, request, timeout_s):
        return timeout_s + float(request.reference)

    def verify(self, request):
        sleep(0.3)
        return Verdict("correct", 1.0, self.method, request.prompt or "")
"""


@pytest.fixture
def patient(tmp_path, monkeypatch):
    """A verifier of the user's own, in a module on Python's path."""
    (tmp_path / "patience.py").write_text(PATIENT)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield extensions.pinned("verifiers", "patience:Patient")
    sys.modules.pop("patience", None)


def test_pool_verifier_of_the_user_s_own_scores_in_workers_by_its_own_deadline(patient):
    with VerifierPool(0.05, workers=1, verifiers={"science": patient}) as pool:
        requests = [VerificationRequest("science", "x", seconds, prompt="Why?") for seconds in ("20", "0")]
        found = list(pool.verify([*requests, VerificationRequest("science", None, "0")]))
        assert pool.extension("science") == patient
    assert [(verdict.kind, verdict.method) for verdict in found] == [
        ("correct", "patience"), ("timeout", "science"), ("no_answer", "patience"),
    ]  # fmt: skip
    assert found[0].detail == "Why?"


def test_pool_object_that_is_no_verifier_is_refused(patient):
    with VerifierPool(1, verifiers={"math": "patience:sleep"}) as pool, pytest.raises(BadConfig, match="is not a Verifier"):
        list(pool.verify([ask("7")]))


def ended(pid, within_s):
    """Whether a process that is no child of ours ends in time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], within_s)[0])
    finally:
        os.close(handle)


def test_pool_whose_process_is_killed_leaves_no_worker_and_no_program():
    script = (
        "import json\n"
        "from stillhouse.verification.pool import VerifierPool\n"
        "from stillhouse.verification.verdict import VerificationRequest\n"
        "tests = json.dumps({'inputs': [''] * 10, 'outputs': ['1'] * 10, 'time_limit_s': 300})\n"
        "ask = VerificationRequest('code', '```python\\nimport time\\ntime.sleep(3000)\\n```', None, test_cases=tests)\n"
        "with VerifierPool(30, workers=1) as pool:\n"
        "    quick = VerificationRequest('code', '```python\\nprint(1)\\n```', None, test_cases=tests)\n"
        "    print(*[verdict.kind for verdict in pool.verify([quick])], pool._workers[0].process.pid, flush=True)\n"
        "    list(pool.verify([ask]))\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    kind, worker = caller.stdout.readline().split()
    handles = [os.pidfd_open(pid) for pid in descendants(int(worker))]
    caller.kill()
    caller.wait()
    caller.stdout.close()
    ended = [bool(select.select([handle], [], [], 30)[0]) for handle in handles]
    for handle in handles:
        os.close(handle)
    assert (kind, all(ended), len(ended) > 1) == ("correct", True, True)


def test_pool_that_was_warmed_starts_no_process_and_loads_nothing_at_its_first_answer(pids):
    with VerifierPool(0.9, workers=2) as pool:
        pool.begin_warming(["math", "math", "science"])
        assert len(pids) == 2
        pool.finish_warming()
        assert [worker.warm for worker in pool._workers] == [{"math"}, {"math"}]
        assert not any(worker.loading for worker in pool._workers)
        assert kinds(pool, [INTEGRAL, INTEGRAL, "\\boxed{8}"]) == ["correct", "correct", "wrong"]
        pool.begin_warming(["math"])
    assert len(pids) == 2


def test_pool_that_is_asked_while_it_warms_waits_for_it(pids):
    with VerifierPool(0.9, workers=2) as pool:
        pool.begin_warming(["math"])
        assert kinds(pool, [INTEGRAL]) == ["correct"]
        assert all(not worker.warming for worker in pool._workers)
