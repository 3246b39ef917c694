"""What the kernel says of another process: the processor time it has used, and whether it runs."""

import os
from pathlib import Path


def processor_time_s(pid: int) -> float:
    """Seconds of processor time a process has used, without its children; 0 if it is gone."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def is_runnable(pid: int) -> bool:
    """Whether a process runs, waits for a core or a disk, or has just ended and is about to be noticed; not if it sleeps."""
    fields = _stat(pid)
    return not fields or fields[0] not in ("S", "T", "t")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty if the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text[text.rindex(")") + 2 :].split()
