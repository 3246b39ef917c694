"""Airflow on this machine, whose stages are pods of a release: the processes of the laptop with the settings of the chart."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from laptop import processes, services
from laptop.airflow import Airflow
from laptop.settings import CHECKOUT, Laptop
from tests.cluster.release import Release
from tests.conftest import free_port

ENDED = ("success", "failed")


@dataclass(frozen=True)
class House(Laptop):
    """The laptop's services, with other settings for stages."""

    given: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        # The provider takes one way to a cluster: the connection's.
        kept = {name: value for name, value in super().environment().items() if name != "KUBECONFIG"}
        return kept | dict(self.given)


@contextmanager
def running(directory: Path, release: Release) -> Iterator["Runs"]:
    """Airflow with the rights of the chart's launcher and no other, until the block ends."""
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(release.launcher)}}
    given = release.environment | {
        "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps(connection), "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'src'}",
    }  # fmt: skip
    house = House("file", directory, {"AIRFLOW_PORT": free_port(), "MLFLOW_PORT": free_port(), "S3_PORT": free_port()}, given)
    try:
        services.start(house, print, without={"mlflow"})
        yield Runs(house, Airflow(house))
    finally:
        services.stop(house)


class Runs:
    """DAG runs by Airflow's REST API, as the UI asks for them."""

    def __init__(self, house: House, airflow: Airflow) -> None:
        self.house, self.api = house, airflow
        for pool in ("cpu", "gpu"):
            airflow.make_pool(pool, 2)

    def trigger(self, dag: str, run_id: str, **conf: Any) -> None:
        self.until(lambda: self.api.send("GET", f"/api/v2/dags/{dag}").is_success, 120)
        self.api.call("POST", f"/api/v2/dags/{dag}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": conf})

    def state(self, dag: str, run_id: str) -> str:
        return str(self.api.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run_id}")["state"])

    def tasks(self, dag: str, run_id: str) -> dict[str, str]:
        instances = self.api.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run_id}/taskInstances?limit=100")["task_instances"]
        return {instance["task_id"]: instance["state"] for instance in instances}

    def ended(self, dag: str, run_id: str, seconds: float) -> str:
        """The state in which the run ended."""
        self.until(lambda: self.state(dag, run_id) in ENDED, seconds)
        return self.state(dag, run_id)

    def mark_failed(self, dag: str, run_id: str, task: str, index: int) -> None:
        self.api.call("PATCH", f"/api/v2/dags/{dag}/dagRuns/{run_id}/taskInstances/{task}/{index}", {"new_state": "failed"})

    def clear(self, dag: str, run_id: str, task: str) -> None:
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task], "only_failed": False, "reset_dag_runs": True}
        self.api.call("POST", f"/api/v2/dags/{dag}/clearTaskInstances", body)

    def kill(self, name: str) -> None:
        """SIGKILL to a service and all that it started, its workers among them."""
        service = processes.find(self.house, name)
        for process in [*service.children(recursive=True), service]:
            process.kill()
        psutil.wait_procs([service], 10)

    def start(self, name: str) -> None:
        services.start_one(self.house, name)

    @staticmethod
    def until(condition, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < ends, f"not within {seconds} s"
            time.sleep(1)
