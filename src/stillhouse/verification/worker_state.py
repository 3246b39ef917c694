"""What the kernel says of another process: the processor time it has used, and whether it runs."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import psutil

from stillhouse.errors import EngineFailed

_LOGGER = logging.getLogger(__name__)
START_CPU_S = 120
"""Seconds of processor time after which a worker that is not ready counts as broken, however long they take on a busy machine."""


def processor_time_s(pid: int) -> float:
    """Seconds of processor time a process has used, without its children; 0 if it is gone."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def is_runnable(pid: int) -> bool:
    """Whether a process runs, waits for a core or a disk, or has just ended and is about to be noticed; not if it sleeps."""
    fields = _stat(pid)
    return not fields or fields[0] not in ("S", "T", "t")


def time_to_start_s(pid: int, before_s: float) -> float:
    """Seconds of processor time a worker that is not ready has used, with everything below it.

    ``before_s``: the same at the last look. Raises EngineFailed if it has used up START_CPU_S, or sleeps since.
    """
    family = _family(pid)
    used_s = _time_s(family)
    if used_s > START_CPU_S or (used_s == before_s and not any(map(is_runnable, family))):
        msg = f"a verification worker is not ready after {used_s:.1f} s of processor time; is the machine out of memory?"
        raise EngineFailed(msg)
    _LOGGER.warning("a verification worker is still starting (%.1f s of processor time so far): the machine is busy", used_s)
    return used_s


def _time_s(pids: Iterable[int]) -> float:
    """Seconds of processor time of these processes, also of their children that have ended."""
    ticks = sum(int(part) for pid in pids for part in _stat(pid)[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def _family(pid: int) -> list[int]:
    """A process and those below it."""
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return [pid]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty if the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text[text.rindex(")") + 2 :].split()
