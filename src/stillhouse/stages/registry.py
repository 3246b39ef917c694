"""report + checkpoint -> registry: register the model, and promote it if it is proven to be no worse than the champion."""

from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.artifacts.store import artifact_name
from stillhouse.execution import tracking
from stillhouse.execution.contract import Outputs
from stillhouse.models.references import is_artifact
from stillhouse.registry.config import CHAMPION, RegistryConfig, RegistryInputs
from stillhouse.registry.promotion import earlier_try, set_aliases

if TYPE_CHECKING:
    from stillhouse.registry.gate import GateDecision

SCHEMA_VERSION = 2
HTML = "report.html"

Config = RegistryConfig
Inputs = RegistryInputs


def run(config: RegistryConfig, inputs: RegistryInputs) -> Outputs:
    """Compare with the champion, register, set the aliases, and write down why."""
    from stillhouse.registry import model_card
    from stillhouse.registry.gate import DecisionRecord, decide_rank
    from stillhouse.reporting.run_page import write_run
    from stillhouse.reporting.summary import collect
    from stillhouse.reporting.teaching import cases, champion_first
    from stillhouse.reporting.training_curves import curves

    tracking.require_server("registry")
    report_uri, checkpoint_uri = inputs.uris["report"][0], inputs.uris["checkpoint"][0]
    fingerprint = inputs.fingerprints["checkpoint"][0]
    registered, champion = earlier_try(config.model_name, report_uri, fingerprint)
    decision = decide_rank(config, inputs.report.as_uri(), champion)
    card = model_card.render(config.model_name, checkpoint_uri, inputs.report.as_uri())
    (inputs.output / model_card.CARD).write_text(card, encoding="utf-8")
    version = registered or _register(config, inputs, fingerprint, decision, card)
    set_aliases(config.model_name, version, decision.rank)
    record = DecisionRecord(model=config.model_name, model_version=version, decision=decision)
    made_of = [uri for uri in (report_uri, checkpoint_uri, *inputs.uris.get("others", ())) if is_artifact(uri)]
    summary = collect(made_of)
    reports = champion_first(champion, _reports(inputs, list(summary.outcomes)), inputs.scratch / "champion")
    write_run(inputs.output / HTML, summary, record, cases(reports), curves(summary))
    metrics = {"promoted": float(decision.rank == CHAMPION), "version": float(version)}
    return Outputs(metrics=metrics, artifacts=[HTML, model_card.CARD, record.write(inputs.output)])


def _reports(inputs: RegistryInputs, order: list[str]) -> dict[str, Path]:
    """The reports' directories by checkpoint, as their checkpoints were made."""
    uris = [*inputs.uris.get("others", ()), *inputs.uris["report"]]
    directories = dict(zip(map(artifact_name, uris), (*inputs.others, inputs.report), strict=True))
    return {label: directories[label] for label in order if label in directories}


def _register(config: RegistryConfig, inputs: RegistryInputs, fingerprint: str, decision: "GateDecision", card: str) -> str:
    """Register the checkpoint in the Hugging Face format, with what the gate decided; returns the version's number."""
    from stillhouse.registry import model_files
    from stillhouse.registry.gate import decision_tags

    report_uri, checkpoint_uri = inputs.uris["report"][0], inputs.uris["checkpoint"][0]
    identity = {"report": report_uri, "checkpoint": checkpoint_uri, "fingerprint": fingerprint}
    directory = model_files.gathered(inputs.checkpoint, card, inputs.scratch / "huggingface")
    source = model_files.stored_at(checkpoint_uri) or directory.as_uri()
    return tracking.register(
        config.model_name, directory, source, inputs.run_id, identity, decision_tags(decision), decision.description
    )  # fmt: skip
