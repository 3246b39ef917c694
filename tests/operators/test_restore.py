"""The chart's dump and restore commands against a real PostgreSQL, and the way of the dumps through the store."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from operators import backup
from tests.conftest import free_port
from tests.operators.test_chart import HELM, chart_with_a_stand_in, of_kind, render

PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
DATABASES = ("airflow", "mlflow", "mlflow_auth")


def account() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.getuid():
        return []
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return ["?"]
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


pytestmark = pytest.mark.skipif(
    PROGRAMS is None or HELM is None or account() == ["?"], reason="no PostgreSQL with an account of its own, or no helm"
)


@pytest.fixture
def server(monkeypatch):
    """An empty PostgreSQL with the chart's databases; commands find it by its variables."""
    port = free_port()
    directory = Path(tempfile.mkdtemp(prefix="stillhouse-"))  # pytest's own are closed to PostgreSQL's account
    if not os.getuid():
        shutil.chown(directory, "postgres", "postgres")

    def run(program: str, *options: str) -> None:
        done = subprocess.run([*account(), PROGRAMS / program, *options], capture_output=True, text=True, cwd=directory)
        assert done.returncode == 0, done.stdout + done.stderr

    data = str(directory / "data")
    run("initdb", "--pgdata", data, "--username", "stillhouse", "--auth", "trust", "--no-sync")
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={directory} -c fsync=off"
    run("pg_ctl", "--pgdata", data, "--log", f"{data}/log", "--options", settings, "--wait", "start")
    for name, value in {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "stillhouse"}.items():
        monkeypatch.setenv(name, value)
    for name in DATABASES:
        sql("postgres", f"CREATE DATABASE {name}")
    yield
    run("pg_ctl", "--pgdata", data, "--mode", "immediate", "--wait", "stop")
    shutil.rmtree(directory)


def sql(database: str, text: str) -> str:
    command = [PROGRAMS / "psql", "--dbname", database, "--tuples-only", "--no-align", "--command", text]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def shell(command: list[str], dumps: Path) -> None:
    """A container's command, with its volume at another path."""
    words = [word.replace("/dump", str(dumps)) for word in command]
    subprocess.run(words, check=True, env=os.environ | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}"})


@pytest.mark.timeout(300)
def test_databases_come_back_as_they_were_saved(server, tmp_path):
    objects = render(chart_with_a_stand_in(tmp_path), "kind", "--set=backup.restore=latest")
    save = of_kind(objects, "CronJob")["house-backup"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    restore = of_kind(objects, "Job")["house-restore-latest"]["spec"]["template"]["spec"]
    saved, fetched = tmp_path / "saved", tmp_path / "fetched"
    saved.mkdir()
    fetched.mkdir()
    for name in DATABASES:
        sql(name, f"CREATE TABLE runs (id serial PRIMARY KEY, name text); INSERT INTO runs (name) VALUES ('{name} 1'), ('ü')")
    shell(save["initContainers"][0]["command"], saved)
    root = (tmp_path / "store" / "backups").as_uri()
    backup.save(saved, root, keep=2)

    sql("airflow", "DROP TABLE runs")
    sql("mlflow", "INSERT INTO runs (name) VALUES ('made after the backup')")
    assert backup.fetch(fetched, root, backup.LATEST)
    shell(restore["containers"][0]["command"], fetched)

    for name in DATABASES:
        assert sql(name, "SELECT string_agg(name, ',' ORDER BY id) FROM runs") == f"{name} 1,ü"
        assert sql(name, "INSERT INTO runs (name) VALUES ('next') RETURNING id").splitlines()[0] == "3"
