"""report + checkpoint -> registry: register the model, and promote it if it is proven to be no worse than the champion."""

from typing import TYPE_CHECKING

from stillhouse.artifacts import manifest as manifests
from stillhouse.execution import tracking
from stillhouse.execution.contract import Outputs
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
    from stillhouse.registry.gate import DecisionRecord, decide_rank
    from stillhouse.reporting.page import write_run
    from stillhouse.reporting.summary import collect

    tracking.require_server("registry")
    report_uri, checkpoint_uri = inputs.uris["report"][0], inputs.uris["checkpoint"][0]
    checkpoint = manifests.load(checkpoint_uri)
    registered, champion = earlier_try(config.model_name, report_uri, checkpoint.fingerprint)
    decision = decide_rank(config, inputs.report.as_uri(), champion)
    version = registered or _register(config, inputs, checkpoint.fingerprint, decision)
    set_aliases(config.model_name, version, decision.rank)
    record = DecisionRecord(model=config.model_name, model_version=version, decision=decision)
    write_run(inputs.output / HTML, collect([report_uri, checkpoint_uri, *inputs.uris.get("others", ())]), record)
    metrics = {"promoted": float(decision.rank == CHAMPION), "version": float(version)}
    return Outputs(metrics=metrics, artifacts=[HTML, record.write(inputs.output)])


def _register(config: RegistryConfig, inputs: RegistryInputs, fingerprint: str, decision: "GateDecision") -> str:
    """Register the checkpoint with what the gate decided; returns the version's number."""
    from stillhouse.registry.gate import decision_tags

    report_uri, checkpoint_uri = inputs.uris["report"][0], inputs.uris["checkpoint"][0]
    identity = {"report": report_uri, "checkpoint": checkpoint_uri, "fingerprint": fingerprint}
    return tracking.register(
        config.model_name, inputs.checkpoint, checkpoint_uri, inputs.run_id, identity, decision_tags(decision), decision.description
    )  # fmt: skip
