"""A profile -> its DAG without tasks; and what stands for the DAG of a profile that Airflow refuses."""

import os
from collections.abc import Mapping
from typing import Any, NoReturn

from airflow.sdk import DAG

from operators import retries
from operators.events import ASSETS
from stillhouse.errors import BadConfig
from stillhouse.execution.profiles import AssetSchedule, ProfileFolder

RUNS_AT_ONCE = 16
"""Runs of one DAG side by side, at most; pools bound what they take."""


class RefusedDag(DAG):
    """Stands for a DAG that Airflow cannot have. Validating it, which Airflow does DAG by DAG, raises why."""

    problems: Mapping[str, str]

    def validate(self) -> NoReturn:
        """Raise BadConfig with what is wrong with all refused profiles of the file: Airflow shows one error for each file."""
        raise BadConfig("; ".join(self.problems.values()))


_problems: dict[str, dict[str, str]] = {}
"""By pipeline, what is wrong with its refused profiles, by profile."""


def empty(profile: ProfileFolder, page: str | None, macros: Mapping[str, Any]) -> tuple[DAG, Exception | None]:
    """The profile's DAG without tasks; if Airflow refuses it, one with its name alone, and why."""
    facts = profile.profile
    _problems.setdefault(facts.pipeline, {}).pop(profile.name, None)
    try:
        return DAG(
            profile.name,
            schedule=_schedule(profile),
            catchup=False,
            max_active_runs=RUNS_AT_ONCE,
            user_defined_macros=dict(macros),
            default_args=retries.default_args(),
            doc_md=_page(profile, page),
            dag_display_name=profile.name,
            description=facts.title,
            tags=sorted({"stillhouse", facts.pipeline, *([facts.paper] if facts.paper else []), *facts.tags}),
        ), None
    except Exception as refusal:  # noqa: BLE001  # whatever Airflow does not accept
        return DAG(profile.name), refusal


def refuse(profile: ProfileFolder, problem: Exception) -> None:
    """Show in Airflow why there is no DAG of a profile."""
    problems = _problems[profile.profile.pipeline]
    problems[profile.name] = f"profile {profile.name}: {problem}"
    with RefusedDag(profile.name) as refused:
        refused.problems = problems


def _schedule(profile: ProfileFolder) -> Any:
    """When the DAG runs by itself; ``STILLHOUSE_SCHEDULES=off`` leaves every start to a person."""
    chosen = profile.profile.schedule
    if os.environ.get("STILLHOUSE_SCHEDULES") == "off" or chosen is None:
        return None
    return [ASSETS[chosen.asset]] if isinstance(chosen, AssetSchedule) else chosen


def _page(profile: ProfileFolder, pipeline_page: str | None) -> str:
    facts = profile.profile
    paper = f"\n\nPaper: {facts.paper}" if facts.paper else ""
    return f"# {facts.title}\n\n{facts.about.strip()}{paper}\n\n## The pipeline {facts.pipeline}\n\n{pipeline_page or ''}"
