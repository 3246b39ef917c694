"""The fork server: a warm Python that forks one confined child per program, so that none pays for starting an interpreter.

Over the control socket comes a request (roles, limits) with four descriptors to a process: its source, standard input, output
and error. The server reads none of them: what it knows, every later child inherits. Back go exit codes and times. One run at
a time; before the answer, every process of the run is dead and its tmp is empty. When the socket closes, the server ends.
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
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from stillhouse.verification.sandbox import confinement, kernel, limits, namespaces, private_tmp, programs
from stillhouse.verification.sandbox.confinement import NAMESPACES, Confinement, Unavailable
from stillhouse.verification.sandbox.limits import Limits

_IN_MEMORY = "/dev/shm"
"""Where the private tmp lies without mounts, if it can: a disk takes seconds to remove what a program makes in one."""
WATCH_S = 0.05
"""How often a private tmp without a size of its own is measured."""
_PRELOADED = (
    "bisect", "collections", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "heapq", "io",
    "itertools", "json", "math", "operator", "queue", "random", "re", "statistics", "string", "threading", "traceback", "typing",
)  # fmt: skip
_FIRST, _SECOND = 3, 4
"""Descriptors of a child beside its standard ones: its source, and its channel to the run's other process."""
_READY = 6
"""Where a child says that it is shut in; closed before the program starts."""
_ABOVE = 128
"""More descriptors than the server ever holds."""


@dataclass(frozen=True)
class Ended:
    """How one process of a run ended: its exit code, negative for a signal, and the processor seconds it used."""

    code: int
    cpu_s: float


def main(isolation: str, control_fd: int) -> None:
    """Set up the isolation and serve; or say in one message why it cannot be had."""
    control = socket.socket(fileno=control_fd)
    limits.lift()
    for name in _PRELOADED:
        importlib.import_module(name)
    os.setsid()
    taken = confinement.free_uids()
    uids = taken[0] if taken else None
    try:
        if isolation == NAMESPACES:
            serve(control, confinement.decide(isolation, namespaces.TMP, _enter_namespaces(uids)))
            return
        kernel.adopt_orphans()
        tmp = tempfile.mkdtemp(prefix="stillhouse-sandbox-", dir=_IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None)
        tempfile.tempdir = None
        try:
            serve(control, confinement.decide(isolation, tmp, uids))
        finally:
            os.rmdir(tmp)  # noqa: PTH106
    except (OSError, Unavailable) as error:
        control.send(json.dumps({"unavailable": f"{isolation}: {error}"}).encode())


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


def _enter_namespaces(uids: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return in the first process of a new pid namespace, with the uids that it can give; its parent only waits for it."""
    if uids is not None and not kernel.capabilities() >> kernel.CAP_SYS_ADMIN & 1:
        # Root of a container: in a user namespace of its own it would still be root to the files outside.
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
    namespaces.change_root()
    return uids if os.getuid() == 0 else None


def _run(control: socket.socket, confined: Confinement, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
    """Do one run, and leave nothing of it."""
    run, roles = Limits(**request["limits"]), request["roles"]
    ready, started_writing = os.pipe()
    pids: list[int] = []
    usage: dict[int, Ended] = {}
    private_tmp.prepare(confined, run)
    started = time.monotonic()
    try:
        channels = socket.socketpair() if len(roles) > 1 else ()
        for place, role in enumerate(roles):
            channel = channels[place].fileno() if channels else None
            files = [*descriptors[4 * place : 4 * place + 4], channel, started_writing]
            pids.append(_start(confined, run, role, place, pids[0] if pids else 0, files, request.get("arguments", [])))
        for each in channels:
            each.close()
        cut = _watch(control, confined, run, pids[-1], started)
    finally:
        wall_s = time.monotonic() - started
        _sweep(confined, pids[0] if pids else 0, usage)
        os.close(started_writing)
        private_tmp.discard(confined)
    with os.fdopen(ready, "rb") as said:
        words = said.read()
    if words != b"+" * len(roles):
        return {"failed": words.strip(b"+").decode(errors="replace") or "a process ended before its program started"}
    return {"ended": [asdict(usage[pid]) for pid in pids], "cut": cut, "wall_s": wall_s}


def _start(
    confined: Confinement, run: Limits, role: str, place: int, group: int, files: list[int | None], arguments: list[str]
) -> int:
    """Fork the process of a role. It joins the process group of the run's first."""
    pid = os.fork()
    if not pid:
        _child(confined, run, role, place, group, files, arguments)
    os.setpgid(pid, group or pid)
    return pid


def _child(
    confined: Confinement, run: Limits, role: str, place: int, group: int, files: list[int | None], arguments: list[str]
) -> NoReturn:
    """Shut in, say so, be the role."""
    try:
        os.setpgid(0, group)
        _arrange(confined, files)
        confinement.enter(confined, place, run, execute=role in programs.EXECUTING)
        os.write(_READY, b"+")
        os.close(_READY)
    except BaseException as error:  # noqa: BLE001 - said where the server looks, whatever it is
        os.write(_READY, f"{type(error).__name__}: {error}".encode()[:500])
        os._exit(1)
    programs.run(role, arguments)


def _arrange(confined: Confinement, files: list[int | None]) -> None:
    """Bring the descriptors of a child to their places and close all others, of this run and of the server."""
    source, read, write, errors, channel, ready = files
    wanted = {0: read, 1: write, 2: errors, _FIRST: source, _SECOND: channel, confinement.RULES: confined.ruleset, _READY: ready}
    lifted = {place: fcntl.fcntl(each, fcntl.F_DUPFD, _ABOVE) for place, each in wanted.items() if each is not None}
    os.closerange(0, _ABOVE)
    for place, each in lifted.items():
        os.dup2(each, place, inheritable=place <= 2)
    os.closerange(_ABOVE, 2 * _ABOVE)


def _watch(control: socket.socket, confined: Confinement, run: Limits, pid: int, started: float) -> str | None:
    """Wait for the run's last process. Returns what cut the run short: "wall", "tmp", or None if the process ended by itself."""
    process = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.register(control, select.POLLIN)
    try:
        while True:
            left = started + run.wall_s - time.monotonic()
            if left <= 0:
                return "wall"
            happened = {descriptor for descriptor, _ in poll.poll(1000 * (left if confined.own_pids else min(left, WATCH_S)))}
            if process in happened:
                return None
            if control.fileno() in happened:
                # Nobody asks during a run: the caller is gone.
                sys.exit(0)
            if not confined.own_pids and private_tmp.exceeds(confined, run):
                return "tmp"
    finally:
        os.close(process)


def _sweep(confined: Confinement, group: int, usage: dict[int, Ended]) -> None:
    """Kill every process of the run and wait for it."""
    while True:
        _kill(confined, group)
        try:
            pid, status, used = os.wait4(-1, 0)
        except ChildProcessError:
            return
        usage[pid] = Ended(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime)


def _kill(confined: Confinement, group: int) -> None:
    """At one blow where the pids are the run's own; else by process group, which the filter lets nobody leave, and by parent."""
    targets = [-1] if confined.own_pids else [*_children(), *([-group] if group else [])]
    for target in targets:
        with suppress(ProcessLookupError):
            os.kill(target, signal.SIGKILL)


def _children() -> list[int]:
    """Children of this process, adopted ones too; none where the kernel does not list them."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as listed:  # noqa: PTH123 - called in a loop while processes die
            return [int(pid) for pid in listed.read().split()]
    except FileNotFoundError:
        return []
