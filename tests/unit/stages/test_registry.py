import json
import shutil

import pytest
from pydantic import ValidationError

from stillhouse import testing
from stillhouse.artifacts import manifest as manifests
from stillhouse.benchmarks.outcomes import OUTCOMES
from stillhouse.errors import MissingInput, TrackingRefused
from stillhouse.execution import tracking
from stillhouse.execution.execute import execute
from stillhouse.registry.gate import decide_rank
from stillhouse.stages import registry
from tests.unit.benchmarks.outcome_records import outcomes
from tests.unit.reporting.published import publish, publish_report

CONFIG = registry.Config(model_name="toy")


def report(tmp_path, name, measured):
    uri = (tmp_path / "report" / name / "1").as_uri()
    testing.publish_files({OUTCOMES: measured.model_dump_json().encode()}, "report", uri)
    return uri


@pytest.mark.parametrize("tags", [{}, {"report": "file:///nowhere/report/toy/1"}])
def test_decide_champion_whose_report_is_gone_says_what_to_do(tmp_path, tags):
    report(tmp_path, "candidate", outcomes(1))
    with pytest.raises(MissingInput, match="champion version 3: its report .* is gone; move the alias"):
        decide_rank(CONFIG, (tmp_path / "report" / "candidate" / "1").as_uri(), ("3", tags))


class Models:
    """A model registry in memory, in the place of the functions of ``tracking``."""

    def __init__(self, monkeypatch):
        self.versions, self.aliases, self.checkpoints, self.descriptions = [], {}, [], []
        monkeypatch.setattr(tracking, "require_server", lambda what: None)
        monkeypatch.setattr(tracking, "tags_of", self.tags_of)
        monkeypatch.setattr(tracking, "register", self.register)
        monkeypatch.setattr(tracking, "set_alias", lambda name, alias, version: self.aliases.update({alias: version}))

    def tags_of(self, name, alias, version=""):
        version = version or self.aliases.get(alias)
        return (version, self.versions[int(version) - 1]) if version else None

    def register(self, name, checkpoint, uri, run_id, identity, tags, description):
        self.checkpoints.append(sorted(path.name for path in checkpoint.iterdir()))
        self.descriptions.append(description)
        self.versions.append({**identity, **tags})
        return str(len(self.versions))


@pytest.fixture
def models(monkeypatch) -> Models:
    return Models(monkeypatch)


def register(tmp_path, name, passed):
    checkpoint = (tmp_path / "sft" / name / "1").as_uri()
    made = testing.publish_files({"model.safetensors": name.encode(), "config.json": b"{}"}, "sft", checkpoint)
    given = {"report": [report(tmp_path, name, outcomes(passed))], "checkpoint": [checkpoint]}
    output = tmp_path / "registry" / name / "1"
    return execute(registry, CONFIG, given, output.as_uri()).manifest, output, made


def test_registry_first_model_becomes_champion_with_tags_and_pages(tmp_path, models):
    manifest, output, checkpoint = register(tmp_path, "one", 100)
    assert models.aliases == dict.fromkeys(("candidate", "challenger", "champion"), "1")
    assert models.checkpoints == [["README.md", "config.json", "model.safetensors"]]
    (tags,) = models.versions
    assert tags["fingerprint"] == checkpoint.fingerprint
    assert tags["report"].endswith("report/one/1")
    assert tags["decision"] == "there was no champion"
    assert manifest.metrics == {"promoted": 1, "version": 1}
    decision = json.loads((output / "decision.json").read_bytes())
    assert (decision["decision"]["rank"], decision["model"], decision["model_version"]) == ("champion", "toy", "1")
    assert "was promoted to champion: there was no champion" in (output / "report.html").read_text(encoding="utf-8")


def test_registry_moves_the_aliases_as_far_as_the_gate_lets_a_model(tmp_path, models):
    register(tmp_path, "one", 100)
    manifest, output, _ = register(tmp_path, "worse", 20)
    assert models.aliases == {"candidate": "2", "challenger": "1", "champion": "1"}
    assert manifest.metrics["promoted"] == 0
    assert "worse than champion version 1 on arithmetic/round_1" in (output / "report.html").read_text(encoding="utf-8")
    register(tmp_path, "close", 99)
    assert models.aliases == {"candidate": "3", "challenger": "3", "champion": "1"}
    register(tmp_path, "better", 150)
    assert models.aliases == dict.fromkeys(("candidate", "challenger", "champion"), "4")


def test_registry_version_carries_the_evidence_and_what_it_replaces(tmp_path, models):
    register(tmp_path, "one", 100)
    register(tmp_path, "better", 150)
    tags = models.versions[-1]
    assert (tags["rank"], tags["replaces"]) == ("champion", "1")
    assert tags["gate/arithmetic/round_1"].startswith("+0.250 [+0.1")
    assert tags["gate/arithmetic/round_1"].endswith("margin 0.025: no worse")
    assert models.descriptions[-1].splitlines()[1] == f"arithmetic/round_1: {tags['gate/arithmetic/round_1']}"
    assert "replaces" not in models.versions[0]


def test_registry_margins_name_benchmarks_that_exist():
    assert registry.Config(model_name="toy", margins={"arithmetic@1": 0.1}).margins == {"arithmetic": 0.1}
    with pytest.raises(ValidationError, match="did you mean arithmetic"):
        registry.Config(model_name="toy", margins={"arithmetik": 0.1})


def test_registry_again_registers_nothing(tmp_path, models):
    register(tmp_path, "one", 100)
    checkpoint, given = (tmp_path / "sft" / "one" / "1").as_uri(), (tmp_path / "report" / "one" / "1").as_uri()
    result = execute(
        registry, CONFIG, {"report": [given], "checkpoint": [checkpoint]}, (tmp_path / "registry" / "one" / "1").as_uri()
    )
    assert result.skipped
    assert len(models.versions) == 1


def test_registry_tried_again_takes_the_version_it_registered_and_the_champion_before_it(tmp_path, models):
    register(tmp_path, "one", 100)
    _, output, _ = register(tmp_path, "better", 150)
    evidence = json.loads((output / "decision.json").read_bytes())
    shutil.rmtree(output)
    manifest, output, _ = register(tmp_path, "better", 150)
    assert len(models.versions) == 2
    assert models.aliases == dict.fromkeys(("candidate", "challenger", "champion"), "2")
    assert (manifest.metrics["version"], json.loads((output / "decision.json").read_bytes())) == (2, evidence)


def test_registry_without_a_server_says_how_to_start_one(tmp_path):
    with pytest.raises(TrackingRefused, match="MLFLOW_TRACKING_URI is not set; `make up` starts one"):
        register(tmp_path, "one", 100)


def test_registry_page_has_the_scores_of_the_other_reports(tmp_path, models):
    base, trained = (
        publish(tmp_path, "sft", name, minute, files={"model.safetensors": None}) for name, minute in (("a", 1), ("b", 2))
    )
    earlier = publish_report(tmp_path, "toy-base", 3, base, [(0.125, 0.1, 0.2)])
    scratch = tmp_path / "scratch"
    (scratch / "output").mkdir(parents=True)
    outcomes(1).write(scratch)
    uris = {
        "report": [publish_report(tmp_path, "toy-1", 4, trained, [(0.875, 0.8, 0.9)])],
        "checkpoint": [trained],
        "others": [earlier],
    }
    fingerprints = {"checkpoint": [manifests.load(trained).fingerprint]}
    inputs = registry.Inputs(
        scratch=scratch, report=scratch, checkpoint=scratch, others=(scratch,), uris=uris, fingerprints=fingerprints
    )
    registry.run(CONFIG, inputs)
    page = (scratch / "output" / "report.html").read_text(encoding="utf-8")
    assert "0.125" in page
    assert "0.875" in page
