"""report + checkpoint -> registry: register the model, and promote it if no benchmark got worse than the champion's."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from stillhouse import tracking
from stillhouse.errors import MissingInput
from stillhouse.stage import Outputs, StageConfig, StageInputs
from stillhouse.stages.report import OUTCOMES

DECISION = "decision.json"
HTML = "report.html"
CANDIDATE, CHAMPION = "candidate", "champion"


class Config(StageConfig):
    """Under which name, and how strict the gate is."""

    model_name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the registered model in MLflow."""
    tolerance: float = Field(0.0, ge=0, lt=1)
    """How far below the champion the upper end of a paired 95 % interval may lie before a benchmark counts as worse."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """The candidate's report and checkpoint, and the reports of the checkpoints on the way to it."""

    report: Path
    checkpoint: Path
    others: tuple[Path, ...] = ()


def run(config: Config, inputs: Inputs) -> Outputs:
    """Compare with the champion, register, set the aliases, and write down why."""
    from stillhouse import manifest as manifests
    from stillhouse.reporting.page import write_run
    from stillhouse.reporting.summary import collect

    tracking.require_server("registry")
    report_uri, checkpoint_uri = inputs.uris["report"][0], inputs.uris["checkpoint"][0]
    checkpoint = manifests.load(checkpoint_uri)
    champion = tracking.tags_of(config.model_name, CHAMPION)
    decision = _decide(config, inputs.report, champion, inputs.scratch)
    tags = {"report": report_uri, "checkpoint": checkpoint_uri, "fingerprint": checkpoint.fingerprint, "decision": decision["why"]}
    version = tracking.register(config.model_name, inputs.checkpoint, checkpoint_uri, inputs.run_id, tags)
    tracking.set_alias(config.model_name, CANDIDATE, version)
    if decision["promoted"]:
        tracking.set_alias(config.model_name, CHAMPION, version)
    decision |= {"model": config.model_name, "version": version}
    (inputs.output / DECISION).write_text(json.dumps(decision, indent=1), encoding="utf-8")
    write_run(inputs.output / HTML, collect([report_uri, checkpoint_uri, *inputs.uris.get("others", ())]), decision)
    return Outputs(metrics={"promoted": float(decision["promoted"]), "version": float(version)}, artifacts=[HTML, DECISION])


def _decide(config: Config, report: Path, champion: tuple[str, dict[str, str]] | None, scratch: Path) -> dict[str, Any]:
    """Whether the candidate becomes champion, why, and the paired difference of every comparable benchmark and round."""
    if champion is None:
        return {"promoted": True, "why": "there was no champion", "against": None, "differences": {}}
    version, tags = champion
    theirs = _outcomes(_champion_report(version, tags, scratch))
    differences = _differences(_outcomes(report), theirs)
    wanted = {f"{name}/round_{number}" for name, measured in theirs.items() for number in measured["rounds"]}
    missing = sorted(wanted - differences.keys())
    worse = [name for name, each in differences.items() if each["high"] < -config.tolerance]
    if worse:
        why = f"worse than champion version {version} on {', '.join(worse)}"
    elif missing:
        why = f"not measured under the protocol of champion version {version} on {', '.join(missing)}"
    else:
        why = f"no benchmark is worse than champion version {version} beyond its paired interval"
    return {"promoted": not worse and not missing, "why": why, "against": version, "differences": differences}


def _champion_report(version: str, tags: dict[str, str], scratch: Path) -> Path:
    from stillhouse import store

    uri = tags.get("report", "")
    if not uri or not store.store_of(uri).names(uri):
        gone = f"champion version {version}: its report {uri or '(no tag)'} is gone"
        msg = f"{gone}; move the alias `champion` by hand, or restore the report"
        raise MissingInput(msg)
    return store.store_of(uri).fetch(uri, scratch / "champion")


def _outcomes(report: Path) -> dict[str, Any]:
    outcomes: dict[str, Any] = json.loads((report / OUTCOMES).read_bytes())
    return outcomes


def _differences(candidate: dict[str, Any], champion: dict[str, Any]) -> dict[str, dict[str, float]]:
    """By benchmark and round measured under one protocol: pass@1 of the candidate minus the champion's, on shared questions."""
    from stillhouse.benchmarks.statistics import paired_difference

    found = {}
    for name, ours in candidate.items():
        theirs = champion.get(name)
        if theirs is None or theirs["protocol"] != ours["protocol"]:
            continue
        for number in ours["rounds"].keys() & theirs["rounds"].keys():
            a, b = ours["rounds"][number], theirs["rounds"][number]
            shared = sorted(a.keys() & b.keys())
            if not shared:
                continue
            interval = paired_difference([a[each] for each in shared], [b[each] for each in shared])
            found[f"{name}/round_{number}"] = asdict(interval)
    return dict(sorted(found.items()))
