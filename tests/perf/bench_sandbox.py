"""Sandboxed programs a second against a bare `python -I -S` for each, their scaling over cores, and 100 problems × 10 tests."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.sandbox.runner import PORTABLE, Sandbox
from stillhouse.verification.verdict import VerificationRequest
from tests.perf.measure import best_of, table, timed

PYTHON = str(Path(sys._base_executable).resolve())  # type: ignore[attr-defined]
CORES = len(os.sched_getaffinity(0))
RUNS, ROUNDS = 100, 5
PROGRAM = "print(sum(map(int, input().split())))"
PROBLEMS, TESTS = 100, 10
SOLUTION = """
import sys
def main():
    n, *values = map(int, sys.stdin.read().split())
    best, ending = [], {}
    for value in values:
        ending[value] = ending.get(value - 1, 0) + 1
        best.append(max(ending.values()))
    print(*best[-3:], sum(sorted(values)[:n // 2]))
main()
"""
"""About what a problem of a contest asks of Python: read a hundred numbers, two loops, a sort."""


def main() -> None:
    """Print both tables."""
    executions()
    problems()


def executions() -> None:
    """One program after the other, and as many at a time as there are cores; in each round every contender has its turn."""
    with ExitStack() as held:
        sandboxes, servers = {}, []
        for wanted in ("", PORTABLE):
            os.environ["STILLHOUSE_ISOLATION"] = wanted
            with timed() as start:
                first = held.enter_context(Sandbox())
            servers.append([first.isolation, start.seconds, proportional_mib(first.pid)])
            sandboxes[first.isolation] = [first, *(held.enter_context(Sandbox()) for _ in range(CORES - 1))]
        del os.environ["STILLHOUSE_ISOLATION"]
        runners = {"bare python -I -S": [bare] * CORES}
        runners |= {name: [partial(confined, each) for each in made] for name, made in sandboxes.items()}
        threads = held.enter_context(ThreadPoolExecutor(CORES))
        alone, together = dict.fromkeys(runners, 1e9), dict.fromkeys(runners, 1e9)
        for _ in range(ROUNDS):
            for name, calls in runners.items():
                alone[name] = min(alone[name], best_of(1, calls[0]))
                together[name] = min(together[name], best_of(1, partial(at_once, threads, calls)))
    single = RUNS / alone["bare python -I -S"]
    rows = [
        [name, RUNS / seconds, RUNS / seconds / single, RUNS * CORES / together[name], seconds / together[name]]
        for name, seconds in alone.items()
    ]
    table(["python, print a sum", "a second", "× bare", f"a second × {CORES}", "scaling / cores"], rows)
    table(["server", "start s", "PSS MiB"], servers)


def bare() -> None:
    """An interpreter for each program."""
    for _ in range(RUNS):
        assert printed(PROGRAM, "1 2") == "3\n"


def confined(sandbox: Sandbox) -> None:
    """The same programs in the sandbox."""
    for _ in range(RUNS):
        assert sandbox.python(PROGRAM.encode(), b"1 2").stdout == b"3\n"


def at_once(threads: ThreadPoolExecutor, calls: Sequence[Callable[[], None]]) -> None:
    """All calls at a time."""
    for each in [threads.submit(call) for call in calls]:
        each.result()


def problems() -> None:
    """A set in the shape of LiveCodeBench, through the pool, against the bare interpreter on the same cores."""
    inputs = [f"100 {' '.join(str(seed * number * 7919 % 1009) for number in range(1, 101))}" for seed in range(1, TESTS + 1)]
    outputs = [printed(SOLUTION, text) for text in inputs]
    tests = json.dumps({"call_type": "std", "inputs": inputs, "outputs": outputs})
    asked = [
        VerificationRequest("code", f"```python\n{SOLUTION}# {number}\n```", None, test_cases=tests) for number in range(PROBLEMS)
    ]
    with VerifierPool(10) as pool:
        list(pool.verify(asked[: 4 * CORES]))
        with timed() as ours:
            kinds = {verdict.kind for verdict in pool.verify(asked)}
    assert kinds == {"correct"}, kinds
    with timed() as theirs, ThreadPoolExecutor(CORES) as threads:
        list(threads.map(lambda place: printed(SOLUTION, inputs[place % TESTS]), range(PROBLEMS * TESTS)))
    total = PROBLEMS * TESTS
    table(
        [f"{PROBLEMS} problems × {TESTS} tests, {CORES} at a time", "wall s", "tests a second", "× bare"],
        [
            ["bare python -I -S", theirs.seconds, total / theirs.seconds, 1.0],
            ["verified, in the sandbox", ours.seconds, total / ours.seconds, theirs.seconds / ours.seconds],
        ],
    )


def printed(source: str, text: str) -> str:
    """What a bare interpreter prints."""
    done = subprocess.run([PYTHON, "-I", "-S", "-c", source], input=text.encode(), capture_output=True, check=True)
    return done.stdout.decode()


def proportional_mib(pid: int) -> float:
    """Memory of a server's processes, shared pages counted by share."""
    pids = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    lines = [
        line for each in pids for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:")
    ]
    return sum(int(line.split()[1]) for line in lines) / 1024
