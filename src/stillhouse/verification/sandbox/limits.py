"""What one run may use, and the kernel limits that hold it to that."""

import math
import resource
from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Bounds of one run; the paper gives no value for any of them.

    Two bounds are a whole run's: ``wall_s`` and ``tmp_bytes``. The others are each process's, of which a program has one.
    """

    cpu_s: float = 6.0
    """Processor seconds; the kernel counts whole ones."""
    wall_s: float = 15.0
    memory_bytes: int = 1024 * MIB
    """Address space."""
    stack_bytes: int = 256 * MIB
    output_bytes: int = 16 * MIB
    """Size of any file written, standard output among them."""
    tmp_bytes: int = 32 * MIB
    tmp_files: int = 4096
    open_files: int = 64
    processes: int = 1
    """Above one, the program may start children, with this many processes and threads in all."""
    threads: int = 64


def apply(limits: Limits, *, counted: bool) -> None:
    """Limit this process and its children. ``counted``: no process outside the run shares its uid, so that they can be counted."""
    seconds = math.ceil(limits.cpu_s)
    _set(resource.RLIMIT_CPU, seconds, seconds + 1)
    _set(resource.RLIMIT_AS, limits.memory_bytes)
    _set(resource.RLIMIT_STACK, limits.stack_bytes)
    _set(resource.RLIMIT_FSIZE, limits.output_bytes)
    _set(resource.RLIMIT_NOFILE, limits.open_files)
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_MEMLOCK, 0)
    _set(resource.RLIMIT_MSGQUEUE, 0)
    if counted:
        _set(resource.RLIMIT_NPROC, max(limits.threads, limits.processes) + 2)


def lift() -> None:
    """Undo the soft limits that a caller set for itself: its children's are set run by run."""
    for kind in (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (hard, hard))


def _set(kind: int, soft: int, hard: int | None = None) -> None:
    """Set a limit, or leave a lower one that was there before."""
    most = resource.getrlimit(kind)[1]
    wanted = (soft, soft if hard is None else hard)
    resource.setrlimit(kind, wanted if most == resource.RLIM_INFINITY else (min(wanted[0], most), min(wanted[1], most)))
