"""Processes that outlive the command that started them: started, known by pid and start time, stopped without a trace."""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laptop.settings import Laptop, write_private
from stillhouse.errors import ServiceFailed

STOP_WITHIN_S = 4.0
ASK_EVERY_S = 0.05
ROUNDS = 2
TOKEN = "STILLHOUSE_SERVICES"
"""Marks every process of one set of services in its environment, so that an orphan can be told from a stranger."""


@dataclass(frozen=True)
class Service:
    """One program to keep running."""

    name: str
    argv: Sequence[str]


def start(laptop: Laptop, service: Service) -> None:
    """Start it in a session of its own, its output in its log, its pid on record. Raises ServiceFailed without its program."""
    import psutil

    log = laptop.log(service.name)
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = laptop.environment() | {TOKEN: token(laptop)}
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                service.argv, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=laptop.home,
                start_new_session=True,
            )  # fmt: skip
    except (FileNotFoundError, PermissionError) as error:
        msg = f"{service.name} did not start: {error}; run `make clean venv`"
        raise ServiceFailed(msg) from error
    record = {"pid": process.pid, "started": psutil.Process(process.pid).create_time()}
    write_private(_record(laptop, service.name), json.dumps(record))


def find(laptop: Laptop, name: str) -> Any:
    """The recorded ``psutil.Process``, None if it has ended. A pid that was given to another process since does not count."""
    import psutil

    path = _record(laptop, name)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        # A record that cannot be read leads nowhere; what it was of still carries the token.
        return None
    try:
        process = psutil.Process(record["pid"])
        same = abs(process.create_time() - record["started"]) < 1 and _lives(process)
    except psutil.NoSuchProcess:
        return None
    return process if same else None


def stop(laptop: Laptop, names: Iterable[str]) -> list[str]:
    """End the services and all that they started: SIGTERM to each, then SIGKILL. Returns the names of those that ran."""
    names = list(names)
    services = {name: process for name in names if (process := find(laptop, name)) is not None}
    everything = [each for process in services.values() for each in (*_children(process), process)]
    _end(everything)
    for _ in range(ROUNDS):
        # Again for what an orphan started between the look and its end.
        _end(_marked(laptop))
    for name in names:
        _record(laptop, name).unlink(missing_ok=True)
    return list(services)


def token(laptop: Laptop) -> str:
    """What marks the processes of this laptop home."""
    path = laptop.home / "run" / "token"
    if not path.is_file():
        write_private(path, uuid.uuid4().hex)
    return path.read_text(encoding="utf-8")


def _record(laptop: Laptop, name: str) -> Path:
    return laptop.home / "run" / f"{name}.json"


def _children(process: Any) -> list[Any]:
    import psutil

    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _end(processes: Iterable[Any]) -> None:
    """psutil compares a process's start time before it signals, so that a reused pid is spared."""
    import psutil

    alive = list(processes)
    for send, wait_s in ((psutil.Process.terminate, STOP_WITHIN_S), (psutil.Process.kill, 5.0)):
        for process in alive:
            try:
                send(process)
            except psutil.NoSuchProcess:
                continue
        deadline = time.monotonic() + wait_s
        while (alive := [each for each in alive if _lives(each)]) and time.monotonic() < deadline:
            time.sleep(ASK_EVERY_S)


def _lives(process: Any) -> bool:
    """Whether it still runs. A zombie does not: in a container nobody may ever ask for its exit code, so it may stay for good."""
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _marked(laptop: Laptop) -> list[Any]:
    """Processes that carry the token and that no record leads to: children of a service that was killed."""
    import psutil

    mark, found = token(laptop), []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(TOKEN) == mark:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue
    return found
