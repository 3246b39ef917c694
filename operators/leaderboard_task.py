"""The last task of a DAG run: what the run came to, for MLflow, the store and the leaderboard of its profile.

It is a teardown, so that a run that failed is recorded too, and so that its own failure fails no run.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import pass_context

from operators import airflow_pages, parent, roles, uris
from operators.params import Form
from operators.placement import cpu
from operators.stage import operator_of
from operators.templates import Template
from stillhouse.execution.profiles import ProfileFolder
from stillhouse.vocabulary.masking import masked

LEADERBOARD = "leaderboard"
PARAM_CHARS = 6000
"""The longest param that MLflow takes."""


def task(opened: Any) -> Any:
    """The task; ``opened`` is the set-up task of the run."""
    where = cpu(1)
    made = operator_of(where)(
        task_id=LEADERBOARD, stage=LEADERBOARD, parent_run=parent.RUN_ID,
        words=[LEADERBOARD, Template("{{ store_root() }}"), "--run", Template("{{ run_facts() }}")], **where,
    )  # fmt: skip
    return made.as_teardown(setups=opened)


def macros(profile: ProfileFolder, tasks: Sequence[Mapping[str, Any]], form: Form, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The macros of a profile's DAG: its store, the facts of its run as JSON, and the params by which runs compare.

    ``tasks`` (name, role and GPUs of each) and ``defaults`` (the form's values) are filled while the DAG is built.
    """
    facts = profile.profile
    known = {"profile": profile.name, "pipeline": facts.pipeline, "paper": facts.paper or ""}

    @pass_context
    def run_facts(context: Any) -> str:
        dag_run = context["dag_run"]
        listed = {one["name"]: _task(one, context) for one in tasks}
        run = known | {
            "run": uris.version(context), "dag_run": dag_run.run_id, "airflow": airflow_pages.of(dag_run.dag_id, dag_run.run_id),
            "started": _iso(getattr(dag_run, "start_date", None)), "models": roles.references(facts.models),
            "tasks": listed | _mapped(context),
        }  # fmt: skip
        return json.dumps(run).replace("$", "\\u0024")  # Kubernetes expands ``$(NAME)`` in a command

    def run_params(context: Any) -> dict[str, str]:
        models = {f"model/{role}": text.removeprefix("task:") for role, text in roles.references(facts.models).items()}
        return known | {"version": uris.version(context)} | models | _seeds(form, context["params"]) | _changes(context, defaults)

    return {"run_facts": run_facts, "run_params": run_params, "store_root": uris.root}


def _seeds(form: Form, params: Mapping[str, Any]) -> dict[str, str]:
    """The seed of each recipe that has one."""
    values = {recipe: {**section.values, **form.overrides(recipe, params)} for recipe, section in form.sections.items()}
    return {f"seed/{recipe}": str(fields["seed"]) for recipe, fields in values.items() if fields.get("seed") is not None}


def _changes(context: Any, defaults: Mapping[str, Any]) -> dict[str, str]:
    """What the form of this run changed, by its fields' names."""
    entered = {name: context["params"].get(name) for name in defaults if name != "version"}
    changed = {name: value for name, value in entered.items() if (value or None) != (defaults[name] or None)}
    return {f"form/{name}": masked(json.dumps(value))[:PARAM_CHARS] for name, value in changed.items()}


def _task(fact: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """The artifact of a task, and the GPUs that it had: those of the profile, unless the form changed them."""
    placing = context.get("placing")
    changed = placing(context, fact["name"]) if placing else ""
    where = json.loads(changed) if changed else {}
    gpus = roles.gpus({"resources_needed": where["resources"], "nodes": where["nodes"]}) if where else fact["gpus"]
    return {"uri": uris.artifact(context, fact["name"]), "role": fact.get("role", ""), "gpus": gpus + fact["served_gpus"]}


def _mapped(context: Any) -> dict[str, Any]:
    """The reports that the task ``plan`` of an evaluation named, each by its checkpoint's number if there are several."""
    planned = context["ti"].xcom_pull(task_ids=parent.PLAN)
    reports = planned if isinstance(planned, list) else []
    checkpoints = list(dict.fromkeys(report["inputs"]["checkpoint"] for report in reports))
    named = {}
    for number, report in enumerate(reports):
        at = checkpoints.index(report["inputs"]["checkpoint"])
        role = "checkpoint" if len(checkpoints) == 1 else f"checkpoint-{at + 1}"
        named[f"report-{number}"] = {"uri": report["target"], "role": role, "gpus": 0}
    return named


def _iso(moment: Any) -> str | None:
    return moment.isoformat() if moment is not None else None
