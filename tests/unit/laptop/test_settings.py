import json

import pytest

from laptop import settings
from laptop.settings import Laptop
from stillhouse.errors import ServiceFailed


def test_laptop_home_is_below_the_named_directory_by_store(monkeypatch, tmp_path):
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path))
    assert Laptop.here("file").home == tmp_path / "file"
    assert Laptop.here("s3").home == tmp_path / "s3"


def test_laptop_home_without_a_name_is_in_the_checkout():
    assert Laptop.here("file").home == settings.CHECKOUT / ".stillhouse" / "file"


def test_laptop_ports_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("AIRFLOW_PORT", "18080")
    laptop = Laptop.here("file")
    assert laptop.airflow_url == "http://127.0.0.1:18080"
    assert laptop.mlflow_url == "http://127.0.0.1:5000"


@pytest.mark.parametrize("text", ["web", "80", "70000", "-1", "8080.0", " "])
def test_laptop_port_that_is_none_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv("MLFLOW_PORT", text)
    with pytest.raises(ServiceFailed, match=f"^MLFLOW_PORT={text}: not a port number; set it to one from 1024 to 49151$"):
        Laptop.here("file")


def test_laptop_port_given_twice_is_refused_with_both_names(monkeypatch):
    monkeypatch.setenv("AIRFLOW_PORT", "5000")
    with pytest.raises(ServiceFailed, match="AIRFLOW_PORT and MLFLOW_PORT are both 5000"):
        Laptop.here("file")


def test_laptop_as_started_has_the_recorded_ports(machine):
    assert machine.as_started() == machine
    (machine.home / "ports.json").write_text(json.dumps({"AIRFLOW_PORT": 9000, "MLFLOW_PORT": 9001, "S3_PORT": 9002}))
    assert machine.as_started().airflow_url == "http://127.0.0.1:9000"


def test_laptop_root_is_a_directory_or_a_bucket(machine):
    assert machine.root == (machine.home / "store").as_uri()
    assert Laptop("s3", machine.home, machine.ports).root == "s3://stillhouse"


def test_laptop_secrets_are_made_once_for_their_owner_only(machine):
    made = machine.secrets
    assert (machine.home / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert Laptop("file", machine.home, machine.ports).secrets == made
    assert len(set(made.values())) == len(made) == 6


def test_laptop_environment_keeps_foreign_settings_out(machine, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("KEPT", "yes")
    environment = machine.environment()
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert environment["MLFLOW_TRACKING_URI"] == machine.mlflow_url
    assert environment["PYTHONPATH"] == str(settings.CHECKOUT)
    assert environment["KEPT"] == "yes"


def test_laptop_environment_names_the_s3_server_only_where_it_is_the_store(machine, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://elsewhere")
    s3 = Laptop("s3", machine.home, machine.ports)
    assert s3.environment()["AWS_ENDPOINT_URL"] == s3.s3_url
    assert s3.environment()["AWS_SECRET_ACCESS_KEY"] == s3.secrets["s3_secret_key"]
    assert machine.environment()["AWS_ENDPOINT_URL"] == "http://elsewhere"


def test_write_private_that_fails_leaves_the_earlier_text_and_no_other_file(tmp_path):
    path = tmp_path / "secrets.json"
    settings.write_private(path, "first")
    with pytest.raises(UnicodeEncodeError):
        settings.write_private(path, "second \ud800")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]
