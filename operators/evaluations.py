"""Checkpoints and benchmarks -> one report task each: what ``dags/evaluate.py`` maps over."""

import json
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from operators.params import DATA, VERSION, key
from operators.uris import report_uri
from stillhouse.execution import profiles
from stillhouse.execution.profiles import ProfileFolder
from stillhouse.execution.recipes import recipes


def params(profile: ProfileFolder) -> dict[str, Param]:
    """The form of an evaluation: what to measure, by whose protocol, and with which data."""
    protocols = sorted({name.partition("/")[0] for name in recipes() if name.partition("/")[2].partition("-")[0] == "report"})
    benchmarks = [name.removeprefix("report-") for name in profile.matching("report") if name != "report"]
    return {
        "checkpoint": Param(
            None, type=["null", "string"], minLength=1,
            description="The model to measure: an artifact of sft or rl, or any model reference. Empty: what the event names.",
        ),
        "protocol": Param(profile.name, type="string", enum=protocols, description="The profile whose recipes say how to measure."),
        "benchmarks": Param(
            benchmarks, type="array", items={"type": "string", "minLength": 1},
            description="One to a line: a name; of a published one NAME@COMMIT or NAME@sha256-DIGEST. Empty: those of report.yaml.",
        ),
        "rounds": Param(
            None, type=["null", "integer"], minimum=1, maximum=8, description="Rounds of thinking. Empty: as the recipe says."
        ),
        "version": VERSION,
    }  # fmt: skip


@task
def plan() -> list[dict[str, Any]]:
    """Arguments of the report's operator, one task per checkpoint and benchmark; a task runs all rounds, which build on each other.

    The recipe is ``{protocol}/report-{benchmark}`` if that profile has it, else ``{protocol}/report``. Raises AirflowFailException
    for a protocol with neither, and without a checkpoint.
    """
    context: Any = get_current_context()
    form, protocol = context["params"], profiles.load(context["params"]["protocol"])
    pins = {name: pin for name, pin in protocol.profile.benchmarks.items() if pin}
    return [
        _report(context, checkpoint, protocol, benchmark, pins)
        for checkpoint in _checkpoints(context)
        for benchmark in form["benchmarks"] or [None]
    ]


def _report(
    context: Any, checkpoint: str, protocol: ProfileFolder, benchmark: str | None, pins: Mapping[str, str]
) -> dict[str, Any]:
    name = (benchmark or "all").partition("@")[0]
    usable = [stem for stem in (f"report-{name}", "report") if stem in protocol.recipes]
    if not usable:
        msg = f"profile {protocol.name} has no recipe for benchmark {name}; add report-{name}.yaml or report.yaml to it"
        raise AirflowFailException(msg)
    pin = context["params"].get(key(DATA, name)) or pins.get(name)
    named = f"{benchmark}@{pin}" if benchmark and pin and "@" not in benchmark else benchmark
    changes = {"benchmarks": [named] if named else None, "rounds": context["params"]["rounds"]}
    return {
        "recipe": _layer(protocol, usable[0]),
        "overrides": json.dumps({field: value for field, value in changes.items() if value is not None}),
        "inputs": {"checkpoint": checkpoint}, "target": report_uri(context, checkpoint, protocol.name, name),
    }  # fmt: skip


def _layer(protocol: ProfileFolder, stem: str) -> str:
    from stillhouse.execution.recipes import as_layer

    return f"@{protocol.name}/{stem}" if protocol.packaged else as_layer(protocol.recipes[stem])


def _checkpoints(context: Any) -> list[str]:
    """The form's checkpoint, else those whose events started the run."""
    if context["params"]["checkpoint"]:
        return [str(context["params"]["checkpoint"])]
    events = [event for happened in (context.get("triggering_asset_events") or {}).values() for event in happened]
    uris = sorted({str(event.extra["uri"]) for event in events if "uri" in (event.extra or {})})
    if not uris:
        msg = "checkpoint: nothing to measure; name a model in the form: an artifact of sft or rl, or hf://ORG/NAME"
        raise AirflowFailException(msg)
    return uris
