"""How a command ends: SIGTERM, a full disk, the last words on standard error and in the termination log, the exit code."""

import errno
import os
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from stillhouse.errors import REFUSED, TRY_AGAIN, Preempted
from stillhouse.execution import processes
from stillhouse.vocabulary.masking import masked, printable

TERMINATION_LOG = Path("/dev/termination-log")
"""The file where Kubernetes looks for a container's last words."""
FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_WORDS = (
    "No space left on device", "Disk quota exceeded", "os error 28", "PytorchStreamWriter failed writing", "unexpected pos ",
)  # fmt: skip
"""How libraries report a full disk without raising an OSError with its number: safetensors, torch, pyarrow."""


def preempt(number: int, frame: FrameType | None) -> None:
    """SIGTERM, from Kubernetes or Airflow: a clean way out, so that the tracked run is closed and scratch removed."""
    raise Preempted


def is_full(error: BaseException) -> bool:
    """Whether the error, or one that caused it, says that a disk is full."""
    cause = error.__cause__ or error.__context__
    says_so = isinstance(error, OSError) and error.errno in FULL
    return says_so or any(word in str(error) for word in FULL_WORDS) or (cause is not None and is_full(cause))


def fail(message: str, code: int = REFUSED) -> NoReturn:
    """Exit with these last words. torchrun makes every exit code 1: under it, a failure that may pass writes no termination log."""
    message = printable(masked(message))
    if (code == REFUSED or processes.count() == 1) and TERMINATION_LOG.exists():
        TERMINATION_LOG.write_text(message[:4000], encoding="utf-8")
    print(f"{'error' if code == REFUSED else 'try again'}: {message}", file=sys.stderr)
    sys.exit(code)


def leave(message: str) -> NoReturn:
    """Exit because another rank failed or all were told to stop: the last words are another rank's."""
    print(f"rank {processes.rank()}: {message}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(TRY_AGAIN)  # the libraries' own exit handlers wait for ranks that are gone
