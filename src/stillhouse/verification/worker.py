"""The process that verifies: requests in on standard input, verdicts out on standard output, one line of JSON each.

``{"warm": category}`` loads that category's verifier: answered by ``{"ready": true}``, or ``{"failed": why}`` where an import
failed. Started as ``python -m stillhouse.verification.worker TIMEOUT_S``.
"""

import json
import logging
import os
import resource
import sys
import time
from dataclasses import asdict
from typing import Any, BinaryIO

from stillhouse.verification import deadline_s, verifier
from stillhouse.verification.verdict import DETAIL_CHARS, Request, Verdict

MEMORY_BYTES = 2 * 1024**3
"""Address space of a worker: a power tower is to end in a MemoryError, not in the machine's last page."""


def main() -> None:
    """Answer requests until standard input ends."""
    timeout_s = float(sys.argv[1])
    # What libraries print goes to standard error: standard output is the protocol.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "warm" in message:
            _send(out, _warmed(message["warm"]))
        else:
            request = Request(**message)
            _bound_processor_time(deadline_s(request, timeout_s))
            _send(out, asdict(_verdict(request)))


def _warmed(category: str) -> dict[str, Any]:
    """Load what the category needs."""
    try:
        verifier(category).warm()
    except ImportError as error:
        return {"failed": str(error)}
    return {"ready": True}


def _verdict(request: Request) -> Verdict:
    """The verdict, with its time; whatever the verifier raises becomes a verdict of kind ``error``."""
    started = time.perf_counter()
    try:
        found: Verdict = verifier(request.category).verify(request)
    except Exception as error:  # noqa: BLE001 - the edge where a row's failure becomes a counted value
        found = Verdict("error", None, request.category, f"{type(error).__name__}: {error}"[:DETAIL_CHARS])
    return Verdict(found.kind, found.verify_score, found.method, found.detail, time.perf_counter() - started)


def _bound_processor_time(timeout_s: float) -> None:
    """Have the kernel end this process should its parent be gone before it could: two seconds after the deadline."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + timeout_s) + 2)


def _limit(kind: int, soft: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _send(out: BinaryIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message).encode() + b"\n")
    out.flush()


if __name__ == "__main__":
    main()
