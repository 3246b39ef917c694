import signal
import sys

import pytest

from laptop import processes, services, supervision
from laptop.processes import Service
from laptop.supervision import Supervisor
from stillhouse.errors import ServiceFailed


@pytest.fixture
def one(machine, monkeypatch):
    """A service that runs; stopped afterwards."""
    service = Service("one", [sys.executable, "-c", "import signal; print('out of luck', flush=True); signal.pause()"])
    monkeypatch.setattr(services, "services", lambda laptop: [service])
    processes.start(machine, service)
    yield service
    processes.stop(machine, ["one"])


def kill(machine) -> None:
    process = processes.find(machine, "one")
    process.send_signal(signal.SIGKILL)
    process.wait(5)


def refused():
    raise ServiceFailed("Airflow does not answer")


def test_service_that_died_is_named_and_started_again(machine, one):
    said: list[str] = []
    supervisor = Supervisor(machine, said.append)
    assert supervisor.call(lambda: 1, 0) == 1
    assert said == []
    machine.log("one").write_text("starting\nout of luck\n")
    kill(machine)
    assert supervisor.call(lambda: 1, 0) == 1
    assert said == [f"one died, its log is {machine.log('one')}: starting it again"]
    assert processes.find(machine, "one") is not None


@pytest.mark.parametrize(("name", "freed"), [("mlflow", ["mlflow"]), ("scheduler", [])])
def test_service_that_listens_is_started_where_nothing_of_it_is_left(machine, monkeypatch, name, freed):
    calls: list[str] = []
    monkeypatch.setattr(processes, "end_remains", lambda laptop, name: calls.append(name))
    monkeypatch.setattr(processes, "start", lambda laptop, service: calls.append(f"start {service.name}"))
    services.start_one(machine, name)
    assert calls == [*freed, f"start {name}"]


def test_call_that_fails_while_a_service_starts_again_is_made_again_later(machine, one):
    supervisor = Supervisor(machine, print)
    kill(machine)
    assert supervisor.call(refused, "unknown") == "unknown"
    assert supervisor.call(lambda: "running", "unknown") == "running"


def test_call_that_fails_though_all_services_run_is_an_error(machine, one):
    with pytest.raises(ServiceFailed, match="does not answer"):
        Supervisor(machine, print).call(refused, "unknown")


def test_call_that_still_fails_long_after_the_service_was_started_is_an_error(machine, one, monkeypatch):
    monkeypatch.setattr(services, "READY_WITHIN_S", 0)
    supervisor = Supervisor(machine, print)
    kill(machine)
    with pytest.raises(ServiceFailed, match="does not answer"):
        supervisor.call(refused, "unknown")


def test_service_that_keeps_dying_ends_the_run_with_its_name_and_log(machine, one):
    said: list[str] = []
    supervisor = Supervisor(machine, said.append)
    machine.log("one").write_text("out of luck\n")
    for _ in range(supervision.RESTARTS):
        kill(machine)
        supervisor.revive()
    kill(machine)
    with pytest.raises(ServiceFailed, match=f"^one died 4 times: out of luck.*; read {machine.log('one')}$"):
        supervisor.revive()
    assert len(said) == supervision.RESTARTS
