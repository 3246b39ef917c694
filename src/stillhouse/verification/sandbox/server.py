"""The fork server: a warm Python that forks one confined child per program, so that no program waits for an interpreter to start.

A request (roles, limits) comes over the control socket, with four descriptors per process: its source, standard input, output and
error. The server reads none of them, because every later child would inherit the contents. It answers with exit codes and times.
It does one run at a time; before it answers, every process of the run is dead and its tmp is empty. It ends when the socket closes.
"""

import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from stillhouse.verification.sandbox import confinement, kernel, limits, namespaces, one_interpreter, private_tmp, programs, tester
from stillhouse.verification.sandbox.confinement import NAMESPACES, Confinement, Unavailable
from stillhouse.verification.sandbox.limits import Limits

WATCH_S = 0.05
"""How often a private tmp is measured that is not a file system of its own."""
_LATE_WATCH_S = 0.25
"""How often a run that has used up its wall time is asked whether it sleeps."""
_PRELOADED = (
    "bisect", "collections", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "heapq", "io",
    "itertools", "json", "math", "operator", "queue", "random", "re", "statistics", "string", "threading", "traceback", "typing",
    "_sitebuiltins",
)  # fmt: skip
_FIRST, _SECOND = 3, 4
"""Descriptors of a child besides its standard ones: its source, and its channel to the other process of the run."""
_LIBRARIES_PRELOADED = ("numpy", "sortedcontainers")
"""Of the scientific libraries: what takes long to import and is imported often."""
_ROLES = programs.ROLES | tester.ROLES | one_interpreter.ROLES
_ABOVE = 128
"""Above every descriptor that the server ever holds."""


@dataclass(frozen=True)
class Ended:
    """The end of one process of a run: its exit code, negative for a signal, and its processor seconds."""

    code: int
    cpu_s: float


def main(isolation: str, control_fd: int, libraries: list[str]) -> None:
    """Set up the isolation and serve; if that fails, send one message that says why.

    ``libraries``: a directory of packages that programs may import, and one of C++ headers; each may be empty.
    """
    control = socket.socket(fileno=control_fd)
    limits.lift()
    _preload(libraries[0])
    libraries = [path for path in libraries if path]
    os.setsid()
    reserved = confinement.free_uids()
    uids = reserved[0] if reserved else None
    try:
        if isolation == NAMESPACES:
            own_uids, processes = _enter_namespaces(uids, libraries)
            serve(control, confinement.choose(isolation, namespaces.TMP, own_uids, libraries, processes))
            return
        _leave_cleaner(tmp := private_tmp.create())
        kernel.adopt_orphans()
        serve(control, confinement.choose(isolation, tmp[0], uids, libraries, os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)))
    except (OSError, Unavailable) as error:
        control.send(json.dumps({"unavailable": f"{isolation}: {error}"}).encode())


def _preload(libraries: str) -> None:
    """Import what programs import often, and give them what ``site`` adds to the built-ins."""
    for name in _PRELOADED:
        importlib.import_module(name)
    if libraries:
        sys.path.append(libraries)
        for name in _LIBRARIES_PRELOADED:
            with suppress(ModuleNotFoundError):
                importlib.import_module(name)
    programs.complete_builtins()
    sys.set_int_max_str_digits(0)  # judges' interpreters print integers of any length


def _leave_cleaner(tmp: tuple[str, int]) -> None:
    """Return in a child; this process waits for its end, however it comes, and removes the tmp with what is left of its runs."""
    pid = os.fork()
    if not pid:
        kernel.die_with_parent()
        return
    kernel.adopt_orphans()
    os.closerange(3, tmp[1])
    os.closerange(tmp[1] + 1, 256)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    while children := _children():
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(child, 0)
    private_tmp.remove(tmp[0])
    os._exit(code & 0xFF)


def serve(control: socket.socket, confined: Confinement) -> None:
    """Answer requests until the socket closes."""
    os.environ["HOME"] = os.environ["TMPDIR"] = confined.tmp
    private_tmp.own(confined)
    gc.collect()
    gc.freeze()
    control.send(json.dumps({"isolation": confined.isolation, "facts": confined.facts()}).encode())
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 16)
        if not message:
            return
        try:
            answer = _run(control, confined, json.loads(message), descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        control.send(json.dumps(answer).encode())


def _enter_namespaces(uids: tuple[int, int] | None, libraries: list[str]) -> tuple[tuple[int, int] | None, int | None]:
    """Return in the first process of a new pid namespace, with the uids and the procfs there; its parent only waits for it."""
    if uids is not None and not kernel.capabilities() >> kernel.CAP_SYS_ADMIN & 1:
        # Root in a container: even in a new user namespace it would still own root's files outside.
        os.setgroups([])
        os.setresgid(uids[0], uids[0], uids[0])
        os.setresuid(uids[0], uids[0], uids[0])
        uids = None
    namespaces.leave()
    pid = os.fork()
    if pid:
        os.closerange(3, 256)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
    kernel.die_with_parent()
    processes = namespaces.change_root(libraries)
    return uids if os.getuid() == 0 else None, processes


def _run(control: socket.socket, confined: Confinement, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
    """Carry out one run and remove every trace of it."""
    run, roles = Limits(**request["limits"]), request["roles"]
    ready, started_writing = os.pipe()
    pids: list[int] = []
    usage: dict[int, Ended] = {}
    private_tmp.prepare(confined, run)
    started = time.monotonic()
    try:
        channels = socket.socketpair() if len(roles) > 1 else ()
        for index, role in enumerate(roles):
            channel = channels[index].fileno() if channels else None
            files = [*descriptors[4 * index : 4 * index + 4], channel, started_writing]
            pids.append(_start(confined, run, role, index, pids[0] if pids else 0, files, request.get("arguments", [])))
        for end in channels:
            end.close()
        cut = _watch(control, confined, run, pids, started)
    finally:
        wall_s = time.monotonic() - started
        _sweep(confined, pids[0] if pids else 0, usage)
        os.close(started_writing)
        private_tmp.discard(confined)
    with os.fdopen(ready, "rb") as reports:
        report = reports.read()
    if not report.startswith(b"+" * len(roles)):
        return {"failed": report.strip(b"+").decode(errors="replace") or "a process ended before its program started"}
    said = report[len(roles) :].decode(errors="replace")
    return {"ended": [asdict(usage[pid]) for pid in pids], "cut": cut, "wall_s": wall_s, "report": said}


def _start(
    confined: Confinement, run: Limits, role: str, index: int, group: int, files: list[int | None], arguments: list[str]
) -> int:
    """Fork the process of a role. It joins the process group of the run's first process."""
    pid = os.fork()
    if not pid:
        _child(confined, run, role, index, group, files, arguments)
    os.setpgid(pid, group or pid)
    return pid


def _child(
    confined: Confinement, run: Limits, role: str, index: int, group: int, files: list[int | None], arguments: list[str]
) -> NoReturn:
    """Confine this process, report that, and carry out the role."""
    try:
        os.setpgid(0, group)
        if files[4] is None and confined.own_pids and confined.processes is not None:
            namespaces.show_streams(confined.processes)
        _arrange(confined, files)
        confinement.enter(confined, index, run, execute=role in programs.EXECUTING)
        os.write(programs.READY, b"+")
    except BaseException as error:  # noqa: BLE001 - any failure is reported to the server
        os.write(programs.READY, f"{type(error).__name__}: {error}".encode()[:500])
        os._exit(1)
    programs.run(_ROLES[role], arguments)


def _arrange(confined: Confinement, files: list[int | None]) -> None:
    """Move the descriptors of a child to their numbers, and close all others of this run and of the server."""
    source, read, write, errors, channel, ready = files
    table = {0: read, 1: write, 2: errors, _FIRST: source, _SECOND: channel}
    table |= {confinement.RULES: confined.ruleset, programs.READY: ready}
    lifted = {number: fcntl.fcntl(open_fd, fcntl.F_DUPFD, _ABOVE) for number, open_fd in table.items() if open_fd is not None}
    os.closerange(0, _ABOVE)
    for number, copy in lifted.items():
        os.dup2(copy, number, inheritable=number <= 2)
    os.closerange(_ABOVE, 2 * _ABOVE)


def _watch(control: socket.socket, confined: Confinement, run: Limits, pids: list[int], started: float) -> str | None:
    """Wait for the run's last process. Returns what cut the run short, or None if the process ended on its own.

    That is "tmp", "wall" for a run that sleeps, or "starved" for one that could not use its processor time before it was cut.
    """
    process = os.pidfd_open(pids[-1])
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.register(control, select.POLLIN)
    try:
        while True:
            used = time.monotonic() - started
            if used >= run.wall_s and not _computes(confined, run, pids):
                return "wall"
            if used >= run.wall_s * limits.SLOW:
                return "starved"
            wait_s = run.wall_s - used if used < run.wall_s else _LATE_WATCH_S
            happened = {descriptor for descriptor, _ in poll.poll(1000 * (wait_s if confined.own_pids else min(wait_s, WATCH_S)))}
            if process in happened:
                return None
            if control.fileno() in happened:
                # Callers send nothing during a run: the socket was closed.
                sys.exit(0)
            if not confined.own_pids and private_tmp.exceeds(confined, run, pids):
                return "tmp"
    finally:
        os.close(process)


def _computes(confined: Confinement, run: Limits, pids: list[int]) -> bool:
    """Whether a thread of the run runs, or waits for a processor or a disk; assumed where that cannot be seen."""
    if confined.processes is None or run.processes > 1:
        return True
    return any(state in "RD" for pid in pids for state in _states(confined.processes, pid))


def _states(processes: int, pid: int) -> list[str]:
    """The states of a process's threads, one letter each."""
    states = []
    with suppress(FileNotFoundError, ProcessLookupError):
        threads = os.open(f"{pid}/task", os.O_RDONLY | os.O_DIRECTORY, dir_fd=processes)
        try:
            for thread in os.listdir(threads):  # noqa: PTH208 - of a descriptor
                with os.fdopen(os.open(f"{thread}/stat", os.O_RDONLY, dir_fd=threads), "rb") as status:
                    states.append(status.read().rpartition(b")")[2].split()[0].decode())
        finally:
            os.close(threads)
    return states


def _sweep(confined: Confinement, group: int, usage: dict[int, Ended]) -> None:
    """Kill every process of the run and wait until all have ended."""
    while True:
        _kill(confined, group)
        try:
            pid, status, used = os.wait4(-1, 0)
        except ChildProcessError:
            return
        usage[pid] = Ended(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime)


def _kill(confined: Confinement, group: int) -> None:
    """Kill all at once if the run has its own pids; else by process group, which the filter lets nobody leave, and by parent."""
    targets = [-1] if confined.own_pids else [*_children(), *([-group] if group else [])]
    for target in targets:
        with suppress(ProcessLookupError):
            os.kill(target, signal.SIGKILL)


def _children() -> list[int]:
    """Children of this process, including adopted ones; none if the kernel does not list them."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as listed:  # noqa: PTH123 - called in a loop while processes die
            return [int(pid) for pid in listed.read().split()]
    except FileNotFoundError:
        return []
