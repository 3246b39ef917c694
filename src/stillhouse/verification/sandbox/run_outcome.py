"""The outcome of a run in the sandbox: how it ended, by what the server saw, the limits, and what the harness reported."""

import json
import os
import signal
from dataclasses import dataclass, field
from typing import Any

from stillhouse.verification.sandbox.limits import Limits

_ERRORS_BYTES = 4096
_NO_MEMORY = (
    "MemoryError", "OSError: [Errno 12]", "RuntimeError: can't start new thread", "virtual memory exhausted",
    "cc1plus: out of memory",
)  # fmt: skip
"""How the last line of standard error begins when memory lacks."""
_NO_PYTHON = ("SyntaxError", "IndentationError", "TabError")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run.

    ``ending``: finished, or compile_error, runtime_error, time_limit, memory_limit, output_limit, tmp_limit; or ``starved``: cut
    while it could not use its processor time, which says nothing about the program. ``errors`` is the end of standard error,
    ``report`` what the harness said of a test: its ``result``, and for ``tested`` whether it was ``exact`` and ``asked`` anything.
    """

    ending: str
    code: int
    stdout: bytes
    errors: str
    cpu_s: float
    wall_s: float
    report: dict[str, Any] = field(default_factory=dict)


def read_outcome(answer: dict[str, Any], limits: Limits, stdout: bytes, files: list[int]) -> Outcome:
    """The server's answer as an Outcome. ``files``: source, stdin, stdout and stderr of each process in turn."""
    ended, outputs = answer["ended"], files[2::4]
    errors = "".join(_tail(descriptor) for descriptor in reversed(files[3::4]))
    written = max(os.fstat(descriptor).st_size for descriptor in (*outputs, *files[3::4]))
    codes = [process["code"] for process in ended]
    late = answer["cut"] == "wall" or max(process["cpu_s"] for process in ended) > limits.cpu_s or -signal.SIGXCPU in codes
    full = written >= limits.output_bytes or -signal.SIGXFSZ in codes
    cut = "output_limit" if full else "tmp_limit" if answer["cut"] == "tmp" else "time_limit" if late else answer["cut"]
    report = _report(answer["report"])
    # One process runs alone, or the last one is the tester's: it has to say how the test ended.
    ending = cut or (_reported_ending(report) if report or len(ended) > 1 else _ending(codes[-1], errors))
    return Outcome(ending, codes[-1], stdout, errors, sum(process["cpu_s"] for process in ended), answer["wall_s"], report)


def _report(text: str) -> dict[str, Any]:
    """The first report of a run: if the program could not be compiled, its tester has something to say too."""
    if not text:
        return {}
    report: dict[str, Any] = json.JSONDecoder().raw_decode(text)[0]
    return report


def _reported_ending(report: dict[str, Any]) -> str:
    """The ending of a run whose harness has said how it ended; it says nothing if the test itself ended the process."""
    result, message = report.get("result"), str(report.get("message", ""))
    if result == "passed":
        return "finished"
    if result == "not_compiled" or (result == "not_loaded" and message.startswith(_NO_PYTHON)):
        return "compile_error"
    return "memory_limit" if result in ("raised", "not_loaded") and message.startswith("MemoryError") else "runtime_error"


def _ending(code: int, errors: str) -> str:
    """The ending of a run that no limit cut short: the last words of an interpreter or a C++ run time say what memory lacked."""
    if code == 0:
        return "finished"
    last = (errors.strip().splitlines() or [""])[-1]
    refused = (code == 1 and last.startswith(_NO_MEMORY)) or (code == -signal.SIGABRT and "std::bad_alloc" in errors)
    return "memory_limit" if refused else "runtime_error"


def _tail(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, _ERRORS_BYTES, max(0, size - _ERRORS_BYTES)).decode(errors="replace")
