"""report + checkpoint -> registry: register the model, and promote it if it is proven to be no worse than the champion."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from stillhouse.benchmarks import bare_name, definition
from stillhouse.errors import MissingInput
from stillhouse.execution import tracking
from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.registry.gate import CANDIDATE, CHALLENGER, CHAMPION, Decision, decide, line
from stillhouse.registry.promotion import REPLACES, Version, earlier_try
from stillhouse.stages.report import OUTCOMES
from stillhouse.vocabulary.settings import StageConfig

SCHEMA_VERSION = 2
DECISION = "decision.json"
HTML = "report.html"

Margin = Annotated[float, Field(ge=0, lt=1)]


class Config(StageConfig):
    """Under which name, and how strict the gate is."""

    model_name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the registered model in MLflow."""
    margin: Margin = 0.025
    """Loss in pass@1 that may not go unseen: the lower end of the paired 95 % interval has to lie above it. The default is what
    annealing cost DeepDistill on LiveCodeBench."""
    margins: dict[str, Margin] = Field(default_factory=dict)
    """Margins of single benchmarks, by name."""

    @field_validator("margins")
    @classmethod
    def _known(cls, margins: dict[str, float]) -> dict[str, float]:
        for name in margins:
            definition(name)
        return {bare_name(name): margin for name, margin in margins.items()}


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """The candidate's report and checkpoint, and the reports of the checkpoints on the way to it."""

    report: Path
    checkpoint: Path
    others: tuple[Path, ...] = ()


def run(config: Config, inputs: Inputs) -> Outputs:
    """Compare with the champion, register, set the aliases, and write down why."""
    from stillhouse.artifacts import manifest as manifests
    from stillhouse.reporting.page import write_run
    from stillhouse.reporting.summary import collect

    tracking.require_server("registry")
    report_uri, checkpoint_uri = inputs.uris["report"][0], inputs.uris["checkpoint"][0]
    checkpoint = manifests.load(checkpoint_uri)
    mine, champion = earlier_try(config.model_name, report_uri, checkpoint.fingerprint)
    decision = _decide(config, inputs.report, champion, inputs.scratch)
    tags = {"report": report_uri, "checkpoint": checkpoint_uri, "fingerprint": checkpoint.fingerprint, **_tags(decision)}
    version = mine or tracking.register(
        config.model_name, inputs.checkpoint, checkpoint_uri, inputs.run_id, tags, decision.description
    )  # fmt: skip
    for alias in (CANDIDATE, CHALLENGER, CHAMPION):
        tracking.set_alias(config.model_name, alias, version)
        if alias == decision.rank:
            break
    record = asdict(decision) | {"model": config.model_name, "version": version}
    (inputs.output / DECISION).write_text(json.dumps(record, indent=1), encoding="utf-8")
    write_run(inputs.output / HTML, collect([report_uri, checkpoint_uri, *inputs.uris.get("others", ())]), record)
    promoted = float(decision.rank == CHAMPION)
    return Outputs(metrics={"promoted": promoted, "version": float(version)}, artifacts=[HTML, DECISION])


def _decide(config: Config, report: Path, champion: Version | None, scratch: Path) -> Decision:
    """The rank of the candidate. Raises MissingInput where the champion's report is gone."""
    ours = _outcomes(report)
    if champion is None:
        return decide(ours, None, None, config.margins, config.margin)
    version, tags = champion
    return decide(ours, _outcomes(_champion_report(version, tags, scratch)), version, config.margins, config.margin)


def _tags(decision: Decision) -> Mapping[str, str]:
    """The decision and its evidence, as tags of the version."""
    evidence = {f"gate/{name}": line(each) for name, each in decision.evidence.items()}
    replaces = {REPLACES: decision.against} if decision.rank == CHAMPION and decision.against else {}
    return {"rank": decision.rank, "decision": decision.why, **evidence, **replaces}


def _champion_report(version: str, tags: dict[str, str], scratch: Path) -> Path:
    from stillhouse.artifacts import integrity
    from stillhouse.artifacts import manifest as manifests

    uri = tags.get("report", "")
    if not uri or manifests.find(uri) is None:
        gone = f"champion version {version}: its report {uri or '(no tag)'} is gone"
        msg = f"{gone}; move the alias `champion` by hand, or restore the report"
        raise MissingInput(msg)
    return integrity.fetch(uri, scratch / "champion", label="the champion's report")


def _outcomes(report: Path) -> dict[str, Any]:
    outcomes: dict[str, Any] = json.loads((report / OUTCOMES).read_bytes())
    return outcomes
