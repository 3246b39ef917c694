"""What the demo asks of Airflow beyond watching a run: a pool, a DAG that is read, a run that starts or is given up."""

import re
import time
from collections.abc import Mapping
from typing import Any

import httpx

from laptop import login_links
from laptop.settings import Laptop
from stillhouse.errors import ServiceFailed
from stillhouse.watching.airflow_rest import AirflowRest

PARSED_WITHIN_S = 120.0
ASK_EVERY_S = 0.5


class Airflow(AirflowRest):
    """The laptop's Airflow, for one DAG."""

    def __init__(self, laptop: Laptop, dag: str) -> None:
        hint, password = "`make down` and try again", laptop.secrets["admin_password"]
        super().__init__(laptop.airflow_url, dag, hint, user="admin", password=password)
        self._links = laptop.login_links

    def link(self, run_id: str) -> str:
        """The run's page, by a link that logs in once."""
        return self.url + login_links.new(self._links, self.page(run_id).removeprefix(self.url))

    def make_pool(self, name: str, slots: int) -> None:
        """Make the pool, or give it this many slots."""
        pool = {"name": name, "slots": slots, "include_deferred": True, "description": "cores of this machine"}
        if self.send("GET", f"/api/v2/pools/{name}").status_code == httpx.codes.NOT_FOUND:
            self.call("POST", "/api/v2/pools", pool)
        else:
            self.call("PATCH", f"/api/v2/pools/{name}", pool)

    def wait_for_dag(self, since: str) -> None:
        """Wait until the DAG file has been parsed after ``since`` (ISO time). Raises ServiceFailed with the import error."""
        deadline = time.monotonic() + PARSED_WITHIN_S
        while time.monotonic() < deadline:
            answer = self.send("GET", f"/api/v2/dags/{self.dag}")
            if answer.is_success and (answer.json()["last_parsed_time"] or "") > since:
                return
            errors = self.call("GET", "/api/v2/importErrors")["import_errors"]
            fresh = [error for error in errors if error["timestamp"] > since and self._concerns(error)]
            if fresh:
                msg = f"{fresh[0]['filename']} does not load: {fresh[0]['stack_trace'].strip().splitlines()[-1]}"
                raise ServiceFailed(msg)
            time.sleep(ASK_EVERY_S)
        msg = f"Airflow made no DAG {self.dag} within {PARSED_WITHIN_S:.0f} s; look into the log of dag-processor"
        raise ServiceFailed(msg)

    def _concerns(self, error: Mapping[str, Any]) -> bool:
        """Whether an import error may be about the DAG: not if it names other profiles alone."""
        text = error["stack_trace"]
        about_profiles = error["filename"].endswith("wrong_profiles.py") or "BadConfig: profile " in text
        return not about_profiles or re.search(rf"(/|profile ){re.escape(self.dag)}\b", text) is not None

    def unfinished(self) -> list[str]:
        """Runs of the DAG that have not ended, by id."""
        runs = self.call("GET", f"/api/v2/dags/{self.dag}/dagRuns?state=running&state=queued&limit=100")["dag_runs"]
        return [run["dag_run_id"] for run in runs]

    def give_up(self, run_id: str) -> None:
        """Mark a run failed; Airflow ends its running tasks."""
        self.call("PATCH", f"/api/v2/dags/{self.dag}/dagRuns/{run_id}", {"state": "failed"})

    def trigger(self, run_id: str, conf: Mapping[str, Any]) -> None:
        """Start a run."""
        self.call("POST", f"/api/v2/dags/{self.dag}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)})
