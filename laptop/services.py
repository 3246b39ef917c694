"""The laptop's services: Airflow's four processes, MLflow, and SeaweedFS if the store is S3."""

import json
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import httpx

from laptop import login_links, processes
from laptop.processes import Service
from laptop.settings import BUCKETS, CHECKOUT, HOST, Laptop, write_private
from stillhouse.errors import ServiceFailed

AIRFLOW = CHECKOUT / ".venv-airflow" / "bin" / "airflow"
NEEDS_BYTES = 2 * 1024**3
READY_WITHIN_S = 240.0
ASK_EVERY_S = 0.25
LISTENS = {"api-server": "AIRFLOW_PORT", "mlflow": "MLFLOW_PORT", "s3": "S3_PORT"}
S3_OFFSETS = (0, 1, 2, 3, 4, 10, 11, 12, 13, 14)
"""SeaweedFS's parts listen above its S3 port, each with HTTP and, ten higher, gRPC."""


def here(store: str) -> Laptop:
    """This checkout's services: with the ports they were started with while any runs, else with those of the environment."""
    laptop = Laptop.here(store)
    started = laptop.as_started()
    return started if any(running(started).values()) else laptop


def services(laptop: Laptop) -> list[Service]:
    """All services, the slowest to start first."""
    airflow, binaries = str(AIRFLOW), Path(sys.executable).parent
    artifacts = "s3://mlflow/artifacts" if laptop.store == "s3" else (laptop.home / "mlflow" / "artifacts").as_uri()
    others = [
        Service("api-server", [airflow, "api-server", "-H", HOST, "-p", str(laptop.ports["AIRFLOW_PORT"]), "--workers", "1"],
                {"AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "laptop" / "plugins")}),
        Service("dag-processor", [airflow, "dag-processor"]),
        Service("scheduler", [airflow, "scheduler", "-s"]),
        Service(
            "mlflow",
            [str(binaries / "mlflow"), "server", "--host", HOST, "--port", str(laptop.ports["MLFLOW_PORT"]), "--workers", "1",
             "--backend-store-uri", f"sqlite:///{laptop.home / 'mlflow' / 'mlflow.db'}", "--artifacts-destination", artifacts],
        ),
        Service("triggerer", [airflow, "triggerer", "-s"]),
    ]  # fmt: skip
    return [Service("s3", _seaweed(laptop, binaries), _seaweed_keys()), *others] if laptop.store == "s3" else others


def start(laptop: Laptop, say: Callable[[str], None], without: Collection[str] = ()) -> list[str]:
    """Start what does not run yet, and wait until all answer. Returns the names of those started. Raises ServiceFailed."""
    all_services = [service for service in services(laptop) if service.name not in without]
    missing = [service for service in all_services if processes.find(laptop, service.name) is None]
    if missing:
        for service in missing:
            _free_port(laptop, service)
        _check(laptop, missing)
        _prepare(laptop)
        early = [service for service in missing if service.name in {"mlflow", "s3"}]
        for service in early:
            processes.start(laptop, service)
        _migrate(laptop, say)
        say(f"starting {', '.join(service.name for service in missing)}")
        for service in missing:
            if service not in early:
                processes.start(laptop, service)
    _wait(laptop, {service.name for service in all_services})
    return [service.name for service in missing]


def start_one(laptop: Laptop, name: str) -> None:
    """Start one service if it does not run, and do not wait for it."""
    for service in services(laptop):
        if service.name == name and processes.find(laptop, name) is None:
            _free_port(laptop, service)
            processes.start(laptop, service)


def stop(laptop: Laptop) -> list[str]:
    """Stop all that run, and all they started. Returns their names."""
    stopped = processes.stop(laptop, [service.name for service in services(laptop)])
    (laptop.home / "ports.json").unlink(missing_ok=True)
    login_links.forget(laptop.login_links)
    shutil.rmtree(laptop.home / "scratch", ignore_errors=True)
    return stopped


def running(laptop: Laptop) -> dict[str, int | None]:
    """The pid of each service, None for one that does not run."""
    by_name = {service.name: processes.find(laptop, service.name) for service in services(laptop)}
    return {name: process.pid if process else None for name, process in by_name.items()}


def _seaweed(laptop: Laptop, binaries: Path) -> list[str]:
    """SeaweedFS as an S3 server and nothing else. Its other ports follow the S3 port, so that two sets of services do not meet.

    ``-disableHttp`` leaves master and filer with gRPC, which no web page speaks; the volume server's HTTP carries the S3 server's
    own requests, signed with ``_seaweed_keys``.
    """
    first = laptop.ports["S3_PORT"]
    http = {name: first + 1 + index for index, name in enumerate(("master", "volume", "filer", "admin"))}
    flags = [flag for name, port in http.items() for flag in (f"-{name}.port={port}", f"-{name}.port.grpc={port + 10}")]
    return [
        str(binaries / "weed"), "-logtostderr=true", "mini", f"-dir={laptop.home / 's3'}", f"-ip={HOST}", f"-ip.bind={HOST}",
        f"-s3.port={first}", f"-s3.port.grpc={first + 10}", f"-bucket={','.join(BUCKETS)}", "-admin.ui=false", "-webdav=false",
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false", "-disableHttp", "-s3.allowedOrigins=none",
        "-filer.allowedOrigins=none", *flags,
    ]  # fmt: skip


def _seaweed_keys() -> dict[str, str]:
    """Keys between the parts of one SeaweedFS, made anew whenever it starts: nobody else needs them."""
    uses = ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ")
    return {f"WEED_JWT_{use}_KEY": secrets.token_urlsafe(32) for use in uses}


def _free_port(laptop: Laptop, service: Service) -> None:
    """End the workers of a killed service. The scheduler's may finish their stages: it listens nowhere."""
    if service.name in LISTENS:
        processes.end_remains(laptop, service.name)


def _check(laptop: Laptop, missing: Sequence[Service]) -> None:
    """Raise ServiceFailed now for what would fail later, in a log."""
    if not AIRFLOW.is_file():
        msg = f"{AIRFLOW} does not exist: run `make venv` first"
        raise ServiceFailed(msg)
    laptop.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(laptop.home).free
    if free < NEEDS_BYTES:
        msg = f"{laptop.home}: {free / 1024**3:.1f} GiB free, 2 GiB needed; make room, or set STILLHOUSE_HOME to another disk"
        raise ServiceFailed(msg)
    for service in missing:
        name = LISTENS.get(service.name)
        first = laptop.ports[name] if name else 0
        busy = [first + offset for offset in (S3_OFFSETS if service.name == "s3" else (0,)) if name and _taken(first + offset)]
        if busy:
            msg = f"port {busy[0]} is in use, {service.name} needs it; stop what listens there, or set {name} to another port"
            raise ServiceFailed(msg)


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _prepare(laptop: Laptop) -> None:
    for name in ("airflow", "mlflow", "s3", "scratch", "store", "run", "logs"):
        (laptop.home / name).mkdir(parents=True, exist_ok=True)
    write_private(laptop.airflow_home / "passwords.json", json.dumps({"admin": laptop.secrets["admin_password"]}))
    write_private(laptop.home / "ports.json", json.dumps(dict(laptop.ports)))


def _migrate(laptop: Laptop, say: Callable[[str], None]) -> None:
    """Create Airflow's tables once; the marker is written when they are complete."""
    done = laptop.airflow_home / "migrated"
    if done.is_file():
        return
    for left in laptop.airflow_home.glob("airflow.db*"):
        # An interrupted migration leaves only some of the tables, which Airflow would take for all.
        left.unlink()
    say("making Airflow's database (once)")
    log = laptop.log("migrate")
    with log.open("wb") as output:
        migrate = [str(AIRFLOW), "db", "migrate"]
        code = subprocess.run(migrate, env=laptop.environment(), stdout=output, stderr=output, check=False).returncode
    if code:
        msg = f"Airflow's database could not be made (exit code {code}); read {log}"
        raise ServiceFailed(msg)
    done.touch()


def _wait(laptop: Laptop, pending: set[str]) -> None:
    """Wait until every service answers. Raises ServiceFailed for one that ended or stays silent, with the last line of its log."""
    deadline = time.monotonic() + READY_WITHIN_S
    with httpx.Client(timeout=5, trust_env=False) as client:
        while pending:
            pending = {name for name in pending if not _ready(laptop, client, name)}
            for name in pending:
                if processes.find(laptop, name) is None or time.monotonic() > deadline:
                    raise ServiceFailed(_silent(laptop, name))
            time.sleep(ASK_EVERY_S if pending else 0)


def last_line(laptop: Laptop, name: str) -> str:
    """The last line of a service's log."""
    log = laptop.log(name)
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "its log is empty"


def _silent(laptop: Laptop, name: str) -> str:
    return f"{name} did not start: {last_line(laptop, name)}; read {laptop.log(name)}"


def _ready(laptop: Laptop, client: httpx.Client, name: str) -> bool:
    urls = {"mlflow": f"{laptop.mlflow_url}/health", "s3": laptop.s3_url}
    try:
        answer = client.get(urls.get(name, f"{laptop.airflow_url}/api/v2/monitor/health"))
    except httpx.TransportError:
        return False
    if name in urls:
        return answer.status_code < 500
    if name == "api-server":
        return answer.is_success
    parts = answer.json() if answer.is_success else {}
    return bool((parts.get(name.replace("-", "_")) or {}).get("status") == "healthy")
