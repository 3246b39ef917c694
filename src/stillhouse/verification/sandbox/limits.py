"""The limits of one run, and the kernel limits that enforce them."""

import math
import resource
from dataclasses import dataclass

MIB = 1024 * 1024


_TIMERS = 1024
"""POSIX timers and queued signals of a run."""
SLOW = 8
"""A process that computes is cut at this many times ``wall_s``; one that sleeps, at ``wall_s``."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one run; the paper gives no value for any of them.

    ``wall_s`` and ``tmp_bytes`` bound the whole run. The others bound each process; a program is one process.
    """

    cpu_s: float = 6.0
    """Processor seconds; the kernel counts whole ones."""
    wall_s: float = 15.0
    """Seconds for a program that sleeps. One that would compute, but gets no processor, has SLOW times as many."""
    memory_bytes: int = 1024 * MIB
    """Address space."""
    stack_bytes: int = 256 * MIB
    output_bytes: int = 16 * MIB
    """Size of any written file, including standard output."""
    tmp_bytes: int = 32 * MIB
    tmp_files: int = 4096
    open_files: int = 64
    processes: int = 1
    """If above one, the program may start children; bounds its processes and threads together."""
    threads: int = 64


def apply(limits: Limits, *, counted: bool) -> None:
    """Limit this process and its children. ``counted``: the run shares its uid with nobody, so its threads can be counted."""
    seconds = math.ceil(limits.cpu_s)
    _set(resource.RLIMIT_CPU, seconds, seconds + 1)
    _set(resource.RLIMIT_AS, limits.memory_bytes)
    _set(resource.RLIMIT_STACK, limits.stack_bytes, resource.getrlimit(resource.RLIMIT_STACK)[1])  # raising it is an idiom
    _set(resource.RLIMIT_SIGPENDING, _TIMERS)
    _set(resource.RLIMIT_FSIZE, limits.output_bytes)
    _set(resource.RLIMIT_NOFILE, limits.open_files)
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_MEMLOCK, 0)
    _set(resource.RLIMIT_MSGQUEUE, 0)
    if counted:
        _set(resource.RLIMIT_NPROC, max(limits.threads, limits.processes) + 2)


def lift() -> None:
    """Undo the soft limits that the caller set for itself: each run sets its own."""
    for kind in (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (hard, hard))


def _set(kind: int, soft: int, hard: int | None = None) -> None:
    """Set a limit, but never above the present hard limit."""
    ceiling = resource.getrlimit(kind)[1]
    limit = (soft, soft if hard is None else hard)
    resource.setrlimit(kind, limit if ceiling == resource.RLIM_INFINITY else (min(limit[0], ceiling), min(limit[1], ceiling)))
