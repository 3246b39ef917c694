import json
import shutil
import socket
import subprocess
import sys
from collections import namedtuple

import psutil
import pytest

from laptop import services
from laptop.settings import Laptop
from stillhouse.errors import ServiceFailed


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """An ``airflow`` that leaves half a database and fails."""
    program = tmp_path / "airflow"
    program.write_text('#!/bin/sh\necho half > "$AIRFLOW_HOME/airflow.db"\necho locked\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setattr(services, "AIRFLOW", program)
    return program


@pytest.fixture
def listener():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def refusal(laptop: Laptop) -> str:
    """What ``start`` says; nothing may have been started."""
    with pytest.raises(ServiceFailed) as caught:
        services.start(laptop, print)
    assert not any(services.running(laptop).values())
    return str(caught.value)


def test_start_without_airflow_says_how_to_install_it(machine, monkeypatch, tmp_path):
    monkeypatch.setattr(services, "AIRFLOW", tmp_path / "gone")
    assert refusal(machine) == f"{tmp_path / 'gone'} does not exist: run `make venv` first"


def test_start_port_in_use_is_refused_with_port_service_and_variable(machine, installed, listener):
    said = refusal(Laptop("file", machine.home, {**machine.ports, "MLFLOW_PORT": listener, "AIRFLOW_PORT": 0}))
    assert f"port {listener} is in use, mlflow needs it" in said
    assert "MLFLOW_PORT" in said


def test_start_port_of_a_part_of_the_s3_server_in_use_is_refused(machine, installed, monkeypatch):
    monkeypatch.setattr(services, "_taken", lambda port: port == 9003)
    said = refusal(Laptop("s3", machine.home, {"AIRFLOW_PORT": 0, "MLFLOW_PORT": 0, "S3_PORT": 9000}))
    assert "port 9003 is in use, s3 needs it" in said
    assert "S3_PORT" in said


def test_start_without_room_says_how_much_is_needed_and_what_to_do(machine, installed, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**12, 10**12, 2**29)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    said = refusal(machine)
    assert said == f"{machine.home}: 0.5 GiB free, 2 GiB needed; make room, or set STILLHOUSE_HOME to another disk"


def test_migration_that_fails_names_its_log_and_is_made_anew_next_time(machine, installed):
    machine.airflow_home.mkdir()
    for _ in range(2):
        with pytest.raises(ServiceFailed, match=f"exit code 3.*{machine.log('migrate')}"):
            services._migrate(machine, print)
        assert machine.log("migrate").read_text() == "locked\n"
    installed.write_text('#!/bin/sh\ntest ! -e "$AIRFLOW_HOME/airflow.db"\n')
    services._migrate(machine, print)
    installed.write_text("#!/bin/sh\nexit 3\n")
    services._migrate(machine, print)


def test_silent_service_is_named_with_the_last_line_of_its_log(machine):
    machine.log("mlflow").write_text("starting\nno such table: runs\n\n")
    assert services._silent(machine, "mlflow") == f"mlflow did not start: no such table: runs; read {machine.log('mlflow')}"
    assert "its log is empty" in services._silent(machine, "scheduler")


def test_here_takes_recorded_ports_only_while_a_service_runs(monkeypatch, tmp_path):
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_PORT", "18080")
    (tmp_path / "file" / "run").mkdir(parents=True)
    (tmp_path / "file" / "ports.json").write_text(json.dumps({"AIRFLOW_PORT": 19000, "MLFLOW_PORT": 19001, "S3_PORT": 19002}))
    assert services.here("file").ports["AIRFLOW_PORT"] == 18080
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        record = {"pid": process.pid, "started": psutil.Process(process.pid).create_time()}
        (tmp_path / "file" / "run" / "mlflow.json").write_text(json.dumps([record]))
        assert services.here("file").ports["AIRFLOW_PORT"] == 19000
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("store", ["file", "s3"])
def test_services_listen_on_loopback_only(machine, store):
    made = {each.name: each.argv for each in services.services(Laptop(store, machine.home, machine.ports))}
    assert {"api-server", "dag-processor", "scheduler", "triggerer", "mlflow"} == set(made) - {"s3"}
    assert made["api-server"][made["api-server"].index("-H") + 1] == "127.0.0.1"
    assert made["mlflow"][made["mlflow"].index("--host") + 1] == "127.0.0.1"
    assert ("s3" in made) == (store == "s3")
    if store == "s3":
        assert "-ip.bind=127.0.0.1" in made["s3"]


def test_s3_ports_that_are_checked_are_those_that_are_passed(machine):
    argv = services._seaweed(Laptop("s3", machine.home, {"S3_PORT": 9000}), machine.home)
    passed = {int(flag.rpartition("=")[2]) for flag in argv if ".port" in flag} - {0}
    assert passed == {9000 + offset for offset in services.S3_OFFSETS}
