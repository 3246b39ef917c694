"""Processes that outlive the command that started them: started, known by pid and start time, stopped without a trace.

Every service runs in a session of its own. What it starts stays in that session, or is a descendant of a process in it, or carries
the token in its environment; so it is found after the service itself was killed. Airflow's processes overwrite their environment
with their title, hence the sessions; stages start sessions of their own, hence the token.
"""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from laptop.settings import Laptop, write_private
from stillhouse.errors import ServiceFailed

STOP_WITHIN_S = 4.0
ASK_EVERY_S = 0.05
ROUNDS = 2
TOKEN = "STILLHOUSE_SERVICES"
"""Marks every process of one set of services in its environment, so that an orphan can be told from a stranger."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Service:
    """One program to keep running."""

    name: str
    argv: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for this service alone."""


@dataclass(frozen=True)
class ServiceSession:
    """The session that a service was started in: its leader's pid and start time, and the boot of the machine."""

    pid: int
    started: float
    boot: str = ""

    def leader(self) -> Any:
        """The service as a ``psutil.Process``; None once it ended. A pid that another process has by now does not count."""
        process = _process(self.pid)
        return process if process and not self._is_over(process) and _lives(process) else None

    def members(self, home: Path) -> list[Any]:
        """The processes of the session and their descendants.

        If the leader is gone, a later session may have its number: members are then those that run in the services' directory.
        """
        process = _process(self.pid)
        if self.boot != _boot() or (process and self._is_over(process)):
            return []  # the pid was given to another process, so the session is over
        inside = [process for process in psutil.process_iter() if _session_of(process) == self.pid and _runs_in(process, home)]
        return [process for member in inside for process in (*_children(member), member)]

    def _is_over(self, process: Any) -> bool:
        """Whether the leader's pid is another process's by now. A killed leader may still hold it, as a zombie."""
        return bool(abs(process.create_time() - self.started) >= 1)


def start(laptop: Laptop, service: Service) -> None:
    """Start it in a session of its own, its output in its log, its pid on record. Raises ServiceFailed without its program."""
    log = laptop.log(service.name)
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = laptop.environment() | {TOKEN: token(laptop)} | dict(service.variables)
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                service.argv, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=laptop.home,
                start_new_session=True,
            )  # fmt: skip
    except (FileNotFoundError, PermissionError) as error:
        msg = f"{service.name} did not start: {error}; run `make clean venv`"
        raise ServiceFailed(msg) from error
    # Workers of a killed service may still finish their stages: its session stays on record.
    former = [session for session in _sessions(laptop, service.name) if session.members(laptop.home)]
    sessions = [ServiceSession(process.pid, psutil.Process(process.pid).create_time(), _boot()), *former]
    write_private(_record(laptop, service.name), json.dumps([vars(session) for session in sessions]))


def find(laptop: Laptop, name: str) -> Any:
    """The service as a ``psutil.Process``, None if it does not run."""
    sessions = _sessions(laptop, name)
    return sessions[0].leader() if sessions else None


def end_remains(laptop: Laptop, name: str) -> None:
    """End what a killed service left behind: its workers still listen on its port."""
    if find(laptop, name) is None:
        _end({process for session in _sessions(laptop, name) for process in session.members(laptop.home)})


def stop(laptop: Laptop, names: Iterable[str]) -> list[str]:
    """End the services and all that they started: SIGTERM to each, then SIGKILL. Returns the names of those that ran."""
    names = list(names)
    running = [name for name in names if find(laptop, name) is not None]
    for _ in range(ROUNDS):
        # Twice, in case an orphan starts a process before it ends, or a `make demo` that still watches starts a service again.
        sessions = [session for name in names for session in _sessions(laptop, name)]
        _end({*(process for session in sessions for process in session.members(laptop.home)), *_marked(laptop)})
    for name in names:
        if not any(session.members(laptop.home) for session in _sessions(laptop, name)):  # else the next call needs the record
            _record(laptop, name).unlink(missing_ok=True)
    return running


def token(laptop: Laptop) -> str:
    """The token that marks the processes of this laptop home."""
    path = laptop.home / "run" / "token"
    if not path.is_file():
        write_private(path, uuid.uuid4().hex)
    return path.read_text(encoding="utf-8")


def _record(laptop: Laptop, name: str) -> Path:
    return laptop.home / "run" / f"{name}.json"


def _sessions(laptop: Laptop, name: str) -> list[ServiceSession]:
    """The session of the service, then those it was killed in before; none if the record cannot be read."""
    try:
        return [ServiceSession(**session) for session in json.loads(_record(laptop, name).read_text(encoding="utf-8"))]
    except (FileNotFoundError, ValueError, TypeError):
        return []


def _process(pid: int) -> Any:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _boot() -> str:
    """An id of this boot of the machine; empty if the system has none."""
    return BOOT_ID.read_text(encoding="ascii").strip() if BOOT_ID.is_file() else ""


def _session_of(process: Any) -> int:
    """The number of its session; 0 if it is gone."""
    try:
        return os.getsid(process.pid)
    except (ProcessLookupError, PermissionError):
        return 0


def _runs_in(process: Any, directory: Path) -> bool:
    try:
        return Path(process.cwd()) == directory.resolve()
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return False


def _children(process: Any) -> list[Any]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _end(processes: Iterable[Any]) -> None:
    """End them, except this process. psutil compares start times before it signals, so that a reused pid is spared."""
    alive = [process for process in processes if process.pid != os.getpid()]
    for send, wait_s in ((psutil.Process.terminate, STOP_WITHIN_S), (psutil.Process.kill, 5.0)):
        for process in alive:
            try:
                send(process)
            except psutil.NoSuchProcess:
                continue
        deadline = time.monotonic() + wait_s
        while (alive := [process for process in alive if _lives(process)]) and time.monotonic() < deadline:
            time.sleep(ASK_EVERY_S)


def _lives(process: Any) -> bool:
    """Whether it still runs. A zombie does not: in a container it may stay forever, if nothing reaps it."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _marked(laptop: Laptop) -> list[Any]:
    """Processes that carry the token: orphans outside of the services' sessions."""
    mark, marked = token(laptop), []
    for process in psutil.process_iter():
        try:
            if process.environ().get(TOKEN) == mark:
                marked.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue
    return marked
