"""The process that verifies: requests on standard input, verdicts on standard output, one line of JSON each.

``{"warm": category}`` loads that category's verifier; the answer is ``{"ready": true}``, or ``{"failed": why}`` if it cannot be
loaded. Started as ``python -m stillhouse.verification.worker TIMEOUT_S EXTENSIONS``; EXTENSIONS is a JSON object of verifiers by
category.
"""

import json
import logging
import os
import resource
import select
import signal
import sys
import threading
import time
from dataclasses import asdict, replace
from typing import Any, BinaryIO

from stillhouse.errors import BadConfig
from stillhouse.verification.verdict import Verdict, VerificationRequest
from stillhouse.verification.verifier import LoadedVerifiers
from stillhouse.vocabulary.categories import Category

MEMORY_BYTES = 2 * 1024**3
"""Address space of a worker: a power tower must end in a MemoryError, not use up the machine's memory."""


def main() -> None:
    """Answer requests until standard input ends."""
    timeout_s, verifiers = float(sys.argv[1]), LoadedVerifiers(json.loads(sys.argv[2]))
    # Output that libraries print goes to standard error: standard output is the protocol.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.disable(logging.CRITICAL)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "warm" in message:
            _send(out, _warmed(verifiers, message["warm"]))
        else:
            request = VerificationRequest(**message)
            bound_processor_time(verifiers.of(request.category).deadline_s(request, timeout_s))
            verdict = _verdict(verifiers, request)
            bound_processor_time(0)
            _send(out, asdict(verdict))


def _end_with_parent() -> None:
    """End this process when its pool is gone, however busy it is; the sandbox ends with it, and so does what runs there."""
    hung_up = select.poll()
    hung_up.register(0, 0)
    while not hung_up.poll():
        continue
    # Requests that are still in the pipe have nobody who waits for their verdicts.
    os._exit(1)


def _warmed(verifiers: LoadedVerifiers, category: Category) -> dict[str, Any]:
    """Load the category's verifier and the libraries it needs."""
    try:
        verifiers.of(category).warm()
    except (BadConfig, ImportError) as error:
        return {"failed": str(error)}
    return {"ready": True}


def _verdict(verifiers: LoadedVerifiers, request: VerificationRequest) -> Verdict:
    """The verdict, with its time; any exception of the verifier becomes a verdict of kind ``error``."""
    started = time.perf_counter()
    try:
        verdict = verifiers.of(request.category).verify(request)
    except Exception as error:  # noqa: BLE001 - the edge where a row's failure becomes a counted value
        verdict = Verdict("error", None, request.category, f"{type(error).__name__}: {error}")
    return replace(verdict, seconds=time.perf_counter() - started)


def bound_processor_time(seconds: float) -> None:
    """Have the kernel end this process by SIGPROF once it has used so much more processor time; 0 lifts the bound.

    The bound holds in C code too, whatever the load of the machine, and if the parent is gone. Children do not inherit it.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _limit(kind: int, soft: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _send(out: BinaryIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message).encode() + b"\n")
    out.flush()


if __name__ == "__main__":
    main()
