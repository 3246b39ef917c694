"""Where the laptop's services live, listen and log, and the environment they run in."""

import base64
import itertools
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from stillhouse.errors import ServiceFailed

CHECKOUT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
PORTS = {"AIRFLOW_PORT": 8080, "MLFLOW_PORT": 5000, "S3_PORT": 8333}
STORES = ("file", "s3")
BUCKETS = ("stillhouse", "mlflow")
PARALLELISM = 4
LOGIN_LINKS = "login-links"
"""The directory below AIRFLOW_HOME that holds them."""


@dataclass(frozen=True)
class Laptop:
    """One set of services and their store, all below one directory."""

    store: str
    home: Path
    ports: Mapping[str, int]

    @classmethod
    def here(cls, store: str) -> "Laptop":
        """The services of this checkout, or below ``STILLHOUSE_HOME``; ports from the environment. Raises ServiceFailed."""
        home = Path(os.environ.get("STILLHOUSE_HOME") or CHECKOUT / ".stillhouse").absolute() / store
        ports = {name: _port(name, default) for name, default in PORTS.items()}
        for name, other in itertools.combinations(ports, 2):
            if ports[name] == ports[other]:
                msg = f"{name} and {other} are both {ports[name]}; set each to a port of its own"
                raise ServiceFailed(msg)
        return cls(store, home, ports)

    def as_started(self) -> "Laptop":
        """The same with the recorded ports of its running services, if there is a record."""
        recorded = self.home / "ports.json"
        return replace(self, ports=json.loads(recorded.read_text(encoding="utf-8"))) if recorded.is_file() else self

    @property
    def root(self) -> str:
        """The root of the artifact store."""
        return "s3://stillhouse" if self.store == "s3" else (self.home / "store").as_uri()

    @property
    def airflow_url(self) -> str:
        """Airflow's API and its pages."""
        return f"http://{HOST}:{self.ports['AIRFLOW_PORT']}"

    @property
    def mlflow_url(self) -> str:
        """MLflow's API and its pages."""
        return f"http://{HOST}:{self.ports['MLFLOW_PORT']}"

    @property
    def s3_url(self) -> str:
        """The S3 endpoint; only with the s3 store."""
        return f"http://{HOST}:{self.ports['S3_PORT']}"

    @property
    def profiles(self) -> Path:
        """Where ``make demo MODEL=…`` writes profiles."""
        return self.home / "profiles"

    @property
    def airflow_home(self) -> Path:
        """Airflow's database and logs."""
        return self.home / "airflow"

    @property
    def login_links(self) -> Path:
        """The links that log in to Airflow, see ``laptop/login_links.py``."""
        return self.airflow_home / LOGIN_LINKS

    def log(self, service: str) -> Path:
        """The log of one service."""
        return self.home / "logs" / f"{service}.log"

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Passwords and keys, generated once, readable by their owner only."""
        path = self.home / "secrets.json"
        if not path.is_file():
            names = ("admin_password", "jwt_secret", "session_secret", "s3_access_key", "s3_secret_key")
            values = {name: secrets.token_urlsafe(16) for name in names}
            values["fernet_key"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
            write_private(path, json.dumps(values))
        return dict(json.loads(path.read_text(encoding="utf-8")))

    def profiles_path(self) -> str:
        """``STILLHOUSE_PROFILES_PATH``: the user's places, and the one of ``make demo MODEL=…`` once it is there."""
        own = [str(self.profiles)] if self.profiles.is_dir() else []
        return ",".join([*filter(None, [os.environ.get("STILLHOUSE_PROFILES_PATH")]), *own])

    def store_environment(self) -> dict[str, str]:
        """The store's variables: none for files, endpoint and keys for S3."""
        if self.store == "file":
            return {}
        return {
            "AWS_ENDPOINT_URL": self.s3_url, "MLFLOW_S3_ENDPOINT_URL": self.s3_url, "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.secrets["s3_access_key"], "AWS_SECRET_ACCESS_KEY": self.secrets["s3_secret_key"],
        }  # fmt: skip

    def environment(self) -> dict[str, str]:
        """The environment of the services and, through Airflow, of the stages."""
        foreign = ("AIRFLOW", "PYTHON", "MLFLOW", "VIRTUAL_ENV", *(("AWS_",) if self.store == "s3" else ()))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        own = {
            "STILLHOUSE_RUNNER": "process",
            "STILLHOUSE_SCHEDULES": "off",
            "STILLHOUSE_STORE": self.root,
            "STILLHOUSE_PROFILES_PATH": self.profiles_path(),
            "STILLHOUSE_SCRATCH": str(self.home / "scratch"),
            "STILLHOUSE_PROGRAM": program(),
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true",
            "PYTHONPATH": str(CHECKOUT),
        }  # fmt: skip
        return inherited | own | self.store_environment() | self._airflow()

    def _airflow(self) -> dict[str, str]:
        """Airflow's settings: SQLite, LocalExecutor, one user; short sleeps, since every hop of the path waits for them."""
        settings = {
            "CORE__EXECUTOR": "LocalExecutor", "CORE__PARALLELISM": PARALLELISM, "CORE__LOAD_EXAMPLES": False,
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
            "CORE__DAGS_FOLDER": CHECKOUT / "dags", "CORE__FERNET_KEY": self.secrets["fernet_key"],
            "CORE__EXECUTION_API_SERVER_URL": f"{self.airflow_url}/execution/",
            "CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": self.airflow_home / "passwords.json",
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.airflow_home / 'airflow.db'}",
            "API__BASE_URL": self.airflow_url, "API__SECRET_KEY": self.secrets["session_secret"],
            "API_AUTH__JWT_SECRET": self.secrets["jwt_secret"],
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 60, "DAG_PROCESSOR__PARSING_PROCESSES": 1,
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.2, "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": 5,
            "LOGGING__LOGGING_LEVEL": "INFO", "USAGE_DATA_COLLECTION__ENABLED": False,
        }  # fmt: skip
        return {"AIRFLOW_HOME": str(self.airflow_home)} | {f"AIRFLOW__{name}": str(value) for name, value in settings.items()}


def program() -> str:
    """The command that runs a stage: ``STILLHOUSE_PROGRAM``, else the command beside this Python."""
    return os.environ.get("STILLHOUSE_PROGRAM") or str(Path(sys.executable).with_name("stillhouse"))


def write_private(path: Path, text: str) -> None:
    """Write a file atomically that only its owner can read, from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(unfinished).replace(path)
    finally:
        Path(unfinished).unlink(missing_ok=True)


def _port(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or not 1024 <= int(text) <= 49_151:
        msg = f"{name}={text}: not a port number; set it to one from 1024 to 49151"
        raise ServiceFailed(msg)
    return int(text)
