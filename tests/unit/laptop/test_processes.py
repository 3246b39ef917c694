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
program = "import signal; print(flush=True); signal.pause()"
titled = {"env": {}} if mode == "titled" else {}  # a title overwrites the environment
child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, **titled)
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

    def launched(mode: str = "plain", name: str = "one", pipe: str = "pipe") -> tuple[psutil.Process, psutil.Process]:
        told = tmp_path / f"{name}.{pipe}"
        os.mkfifo(told)
        processes.start(machine, Service(name, [sys.executable, "-c", PROGRAM, str(told), mode]))
        pid, session, child = map(int, told.read_text().split())
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


def session_of(process: psutil.Process, age_s: float = 0.0) -> dict[str, object]:
    """The session of a service as it is recorded; ``age_s``: how much older its record is."""
    return {"pid": process.pid, "started": process.create_time() - age_s, "boot": processes._boot()}


def record(machine, name: str = "one"):
    return machine.home / "run" / f"{name}.json"


def test_start_puts_the_pid_on_record_and_the_output_in_the_log(machine, launch):
    process, _ = launch()
    assert processes.find(machine, "one") == process
    assert json.loads(record(machine).read_text()) == [session_of(process)]
    assert machine.log("one").is_file()


def test_stop_ends_the_service_and_its_child(machine, launch):
    process, child = launch()
    assert processes.stop(machine, ["one"]) == ["one"]
    assert ended(process)
    assert ended(child)
    assert processes.find(machine, "one") is None
    assert not record(machine).exists()


def test_stop_while_another_process_starts_services_again_ends_those_too_or_keeps_their_record(machine, launch, monkeypatch):
    """A ``make demo`` that watches its services, and a ``make down`` beside it."""
    launch("titled")
    again, end = [], processes._end

    def started_again_afterwards(alive) -> None:
        end(alive)
        again.append(launch("titled", pipe=f"again {len(again)}"))

    monkeypatch.setattr(processes, "_end", started_again_afterwards)
    processes.stop(machine, ["one"])
    assert [ended(each) for pair in again for each in pair] == [True] * 2 * (len(again) - 1) + [False] * 2
    monkeypatch.undo()
    assert processes.stop(machine, ["one"]) == ["one"]
    assert all(ended(each) for pair in again for each in pair)
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


def test_stop_of_a_killed_service_ends_a_child_whose_title_hides_its_environment(machine, launch):
    """Airflow's LocalExecutor after its scheduler was killed."""
    process, child = launch("titled")
    process.kill()
    process.wait(5)
    assert processes.TOKEN not in child.environ()
    assert processes.stop(machine, ["one"]) == []
    assert ended(child)


def test_stop_ends_what_was_left_by_a_service_that_was_killed_and_started_again(machine, launch):
    process, child = launch("titled")
    process.kill()
    process.wait(5)
    again, its_child = launch("titled", pipe="again")
    assert not ended(child), "it may have a stage to finish"
    assert processes.stop(machine, ["one"]) == ["one"]
    assert all(ended(each) for each in (child, again, its_child))


def test_remains_of_a_killed_service_are_ended_and_a_running_one_is_spared(machine, launch):
    process, child = launch("titled")
    processes.end_remains(machine, "one")
    assert not ended(process)
    process.kill()
    process.wait(5)
    processes.end_remains(machine, "one")
    assert ended(child)


def test_remains_of_a_killed_service_that_nobody_waited_for_are_ended(machine, launch):
    """As `make demo` sees it: the service was its own child, and is a zombie now."""
    process, child = launch("titled")
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert processes.find(machine, "one") is None
    processes.end_remains(machine, "one")
    assert ended(child)


def test_stop_spares_a_session_of_another_boot(machine, launch):
    process, child = launch("titled")
    process.kill()
    process.wait(5)
    [session] = json.loads(record(machine).read_text())
    record(machine).write_text(json.dumps([session | {"boot": "before"}]))
    assert processes.stop(machine, ["one"]) == []
    assert not ended(child)


def test_stop_spares_a_stranger_in_a_session_of_the_same_number(machine, launch, tmp_path):
    process, child = launch("titled")
    process.kill()
    process.wait(5)
    other = type(machine)("file", tmp_path / "other", machine.ports)
    (other.home / "run").mkdir(parents=True)
    record(other).write_text(record(machine).read_text())
    assert processes.stop(other, ["one"]) == []
    assert not ended(child), "it runs in another directory"


def test_stop_of_another_home_spares_the_service(machine, launch, tmp_path):
    process, child = launch()
    other = type(machine)("file", tmp_path / "other", machine.ports)
    assert processes.stop(other, ["one"]) == []
    assert not ended(process)
    assert not ended(child)


def test_stop_pid_that_another_process_has_by_now_is_spared(machine, stranger):
    record(machine).write_text(json.dumps([session_of(psutil.Process(stranger.pid), age_s=100)]))
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
