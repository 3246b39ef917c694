import json
import os
import subprocess
import sys

import psutil
import pytest

from laptop import processes
from laptop.processes import Service
from stillhouse.errors import ServiceFailed

PROGRAM = """
import os, signal, subprocess, sys
pipe, mode = sys.argv[1:]
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; print(flush=True); signal.pause()"], stdout=subprocess.PIPE)
child.stdout.readline()
with open(pipe, "w") as told:
    told.write(f"{os.getpid()} {os.getsid(0)} {child.pid}")
print("ready", flush=True)
signal.pause()
"""


@pytest.fixture
def launch(machine, tmp_path):
    """Start a service that has a child; returns its process and its child's once both are there. Ended afterwards."""
    started: list[psutil.Process] = []

    def launched(mode: str = "plain", name: str = "one") -> tuple[psutil.Process, psutil.Process]:
        pipe = tmp_path / f"{name}.pipe"
        os.mkfifo(pipe)
        processes.start(machine, Service(name, [sys.executable, "-c", PROGRAM, str(pipe), mode]))
        pid, session, child = map(int, pipe.read_text().split())
        assert session == pid, "not in a session of its own"
        made = psutil.Process(pid), psutil.Process(child)
        started.extend(made)
        return made

    yield launched
    for process in started:
        if not ended(process):
            process.kill()


@pytest.fixture
def stranger():
    """A process that is not ours to end."""
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    yield process
    process.kill()
    process.wait()


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def record(machine, name: str = "one"):
    return machine.home / "run" / f"{name}.json"


def test_start_puts_the_pid_on_record_and_the_output_in_the_log(machine, launch):
    process, _ = launch()
    assert processes.find(machine, "one") == process
    assert json.loads(record(machine).read_text()) == {"pid": process.pid, "started": process.create_time()}
    assert machine.log("one").is_file()


def test_stop_ends_the_service_and_its_child(machine, launch):
    process, child = launch()
    assert processes.stop(machine, ["one"]) == ["one"]
    assert ended(process)
    assert ended(child)
    assert processes.find(machine, "one") is None
    assert not record(machine).exists()


def test_stop_service_that_ignores_sigterm_is_killed(machine, launch, monkeypatch):
    monkeypatch.setattr(processes, "STOP_WITHIN_S", 0.2)
    process, child = launch("stubborn")
    assert processes.stop(machine, ["one"]) == ["one"]
    assert ended(process)
    assert ended(child)


def test_stop_of_a_killed_service_ends_the_child_it_left(machine, launch):
    process, child = launch()
    process.kill()
    process.wait(5)
    assert not ended(child)
    assert processes.stop(machine, ["one"]) == []
    assert ended(child)


def test_stop_of_another_home_spares_the_service(machine, launch, tmp_path):
    process, child = launch()
    other = type(machine)("file", tmp_path / "other", machine.ports)
    assert processes.stop(other, ["one"]) == []
    assert not ended(process)
    assert not ended(child)


def test_stop_pid_that_another_process_has_by_now_is_spared(machine, stranger):
    started = psutil.Process(stranger.pid).create_time()
    record(machine).write_text(json.dumps({"pid": stranger.pid, "started": started - 100}))
    assert processes.find(machine, "one") is None
    assert processes.stop(machine, ["one"]) == []
    assert stranger.poll() is None


def test_stop_of_nothing_is_fine_and_says_so(machine):
    assert processes.stop(machine, ["one", "two"]) == []


def test_stop_of_services_of_which_one_runs_names_that_one(machine, launch):
    launch(name="two")
    assert processes.stop(machine, ["one", "two"]) == ["two"]


@pytest.mark.parametrize("text", ["", '{"pid": 12'])
def test_torn_record_counts_as_stopped_and_its_process_is_ended_all_the_same(machine, launch, text):
    process, child = launch()
    record(machine).write_text(text)
    assert processes.find(machine, "one") is None
    assert processes.stop(machine, ["one"]) == []
    assert ended(process)
    assert ended(child)
    assert not record(machine).exists()


def test_start_without_the_program_says_which_service_and_what_to_do(machine, tmp_path):
    with pytest.raises(ServiceFailed, match="one did not start: .*nothing-here.*make clean venv"):
        processes.start(machine, Service("one", [str(tmp_path / "nothing-here")]))
    assert not record(machine).exists()
