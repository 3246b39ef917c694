"""``{root}/runs/{profile}/{version}/run.json``: what one run of a profile made, what it cost and what was decided.

The last task of a DAG writes it. It stays when ``prune`` removes the run's artifacts, so that the leaderboard goes back further
than the store does.
"""

import json
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from stillhouse.artifacts import store
from stillhouse.artifacts.records import VersionedRecord
from stillhouse.benchmarks.intervals import Interval
from stillhouse.errors import BadConfig
from stillhouse.registry.gate import GateDecision

BASE = "base"
"""The role of the checkpoint that a run starts from."""
DIRECTORY = "runs"


class RunTask(BaseModel):
    """One task of a DAG run: the artifact it makes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str
    role: str = ""
    """Of a report: the role of the checkpoint that it measures."""
    gpus: int = Field(0, ge=0)
    """GPUs it has, those of models that are served for it included."""


class DagRun(BaseModel):
    """What a DAG knows about its run, as ``stillhouse leaderboard --run`` takes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: str
    run: str
    """The version of the run's artifacts."""
    pipeline: str = ""
    paper: str = ""
    dag_run: str = ""
    """Its id in Airflow."""
    airflow: str = ""
    """Its page in Airflow."""
    started: datetime | None = None
    models: dict[str, str] = Field(default_factory=dict)
    """By role: a model reference, or ``task:NAME`` for a model that a task of the run makes."""
    tasks: dict[str, RunTask] = Field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "DagRun":
        """The run in JSON. Raises BadConfig, which names the field."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "the text"
            msg = f"--run: {field}: {first['msg']}; it is JSON with profile, run and tasks, which a DAG writes"
            raise BadConfig(msg) from error


@dataclass(frozen=True)
class RunScore:
    """pass@1 of one role's checkpoint on one benchmark in one round."""

    role: str
    benchmark: str
    number: int
    """Of the round, from 1."""
    measured: Interval
    questions: int
    tokens: float
    """Mean tokens of a response."""
    protocol: str
    """The protocol's id: scores compare where it is equal."""
    settings: dict[str, Any]
    """Samples and sampling, as a paper's protocol is compared with."""


@dataclass(frozen=True)
class RunGain:
    """The paired difference of one role's checkpoint to the base."""

    role: str
    benchmark: str
    number: int
    difference: Interval


@dataclass(frozen=True)
class RunCost:
    """What the artifacts cost that the run made itself."""

    task_hours: float = 0.0
    gpu_hours: float | None = None
    """None if nobody says how many GPUs the tasks had."""
    wall_hours: float = 0.0
    """From the first of them to the last."""
    tokens_sampled: float = 0.0
    """Written by models in ``responses`` and ``report``."""
    tokens_trained: float = 0.0
    n_verified: int = 0
    """Responses that the verifier found correct."""
    tokens_per_verified: float | None = None
    gpu_seconds_per_verified: float | None = None


class RunRecord(VersionedRecord):
    """What one run of a profile came to."""

    FILE: ClassVar[str] = "run.json"

    version: Literal[1] = 1
    profile: str
    run: str
    pipeline: str = ""
    paper: str = ""
    dag_run: str = ""
    airflow: str = ""
    mlflow: str = ""
    """The run in MLflow, as a page."""
    finished: datetime | None = None
    """When its last artifact was made; None if it has none."""
    scores: list[RunScore] = Field(default_factory=list)
    gains: list[RunGain] = Field(default_factory=list)
    final: str = ""
    """The role of the checkpoint that the run ends in, and registers."""
    model: str = ""
    """Name of the registered model."""
    model_version: str = ""
    decision: GateDecision | None = None
    rows: dict[str, int] = Field(default_factory=dict)
    """By task, the rows passed on."""
    dropped: dict[str, int] = Field(default_factory=dict)
    cost: RunCost = RunCost()
    made: dict[str, str] = Field(default_factory=dict)
    """By task, the fingerprint of what it made in this run."""
    reused: dict[str, str] = Field(default_factory=dict)
    """By task, NAME/VERSION of the artifact that already held its result."""
    pins: dict[str, str] = Field(default_factory=dict)
    """By role, the model and its fingerprint."""
    page: str = ""
    """The URI of the run's page."""
    problems: list[str] = Field(default_factory=list)
    """Artifacts that could not be read, and why."""

    @property
    def is_champion(self) -> bool:
        """Whether the run's model became champion."""
        return self.decision is not None and self.decision.rank == "champion"

    @property
    def is_all_reused(self) -> bool:
        """Whether the run made nothing of its own."""
        return bool(self.reused) and not self.made

    def publish(self, root: str) -> str:
        """Write the record below the root of a store, in place of an earlier one of the same run. Returns its URI."""
        uri = record_uri(root, self.profile, self.run)
        store.store_of(uri).write(uri, json.dumps(json.loads(self.model_dump_json()), indent=1).encode())
        return uri


def record_uri(root: str, profile: str, run: str) -> str:
    """Where the record of a run lies."""
    return store.join(store.absolute(root), DIRECTORY, profile, run, RunRecord.FILE)
