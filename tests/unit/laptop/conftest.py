import pytest

from laptop.settings import PORTS, Laptop


@pytest.fixture(autouse=True)
def no_ports_from_the_shell(monkeypatch):
    for name in PORTS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def machine(tmp_path) -> Laptop:
    """A set of services below the test's directory; nothing listens on its ports."""
    home = tmp_path / "home"
    for name in ("run", "logs"):
        (home / name).mkdir(parents=True)
    return Laptop("file", home, {"AIRFLOW_PORT": 1, "MLFLOW_PORT": 2, "S3_PORT": 3})
