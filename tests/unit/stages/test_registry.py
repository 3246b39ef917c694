import json

import pytest

from stillhouse import testing, tracking
from stillhouse.errors import MissingInput, TrackingFailed
from stillhouse.stage import execute
from stillhouse.stages import registry
from tests.unit.reporting.published import publish, publish_report

CONFIG = registry.Config(model_name="toy")


def outcomes(passed, benchmark="arithmetic", protocol="p1", number="1", n=200):
    """A report's outcomes: of ``n`` questions the first ``passed`` are answered rightly, once each."""
    return {benchmark: {"protocol": protocol, "rounds": {number: {f"q{index:03}": [index < passed] for index in range(n)}}}}


def report(tmp_path, name, *measured):
    uri = (tmp_path / "report" / name / "1").as_uri()
    files = {"outcomes.json": json.dumps({key: value for each in measured for key, value in each.items()}).encode()}
    testing.publish_files(files, "report", uri)
    return uri


def decide(tmp_path, candidate, champion, config=CONFIG):
    """The decision on a candidate against a champion, each given by outcomes."""
    report(tmp_path, "candidate", *candidate)
    against = None if champion is None else ("3", {"report": report(tmp_path, "champion", *champion)})
    (tmp_path / "scratch").mkdir()
    return registry._decide(config, tmp_path / "report" / "candidate" / "1", against, tmp_path / "scratch")


def test_decide_without_champion_promotes(tmp_path):
    made = decide(tmp_path, [outcomes(0)], None)
    assert made == {"promoted": True, "why": "there was no champion", "against": None, "differences": {}}


def test_decide_worse_on_one_benchmark_refuses_and_names_it(tmp_path):
    made = decide(
        tmp_path, [outcomes(180), outcomes(60, "word-problems")], [outcomes(100), outcomes(120, "word-problems")]
    )  # fmt: skip
    assert not made["promoted"]
    assert made["why"] == "worse than champion version 3 on word-problems/round_1"
    assert made["differences"]["word-problems/round_1"]["mean"] == pytest.approx(-0.3)
    assert made["differences"]["arithmetic/round_1"]["low"] > 0


def test_decide_equal_promotes(tmp_path):
    made = decide(tmp_path, [outcomes(100)], [outcomes(100)])
    assert made["promoted"]
    assert made["against"] == "3"
    difference = made["differences"]["arithmetic/round_1"]
    assert difference["low"] < difference["mean"] == 0 < difference["high"]


def test_decide_worse_within_the_interval_promotes(tmp_path):
    made = decide(tmp_path, [outcomes(99)], [outcomes(100)])
    assert made["differences"]["arithmetic/round_1"]["mean"] < 0
    assert made["promoted"]


def test_decide_tolerance_lets_a_small_loss_pass(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    lost = ([outcomes(80)], [outcomes(100)])
    assert not decide(tmp_path / "a", *lost)["promoted"]
    assert decide(tmp_path / "b", *lost, registry.Config(model_name="toy", tolerance=0.2))["promoted"]


def test_decide_other_protocol_is_not_compared_and_not_promoted(tmp_path):
    made = decide(tmp_path, [outcomes(200)], [outcomes(100, protocol="p2")])
    assert made["differences"] == {}
    assert not made["promoted"]
    assert "not measured under the protocol of champion version 3 on arithmetic/round_1" in made["why"]


def test_decide_compares_shared_benchmarks_rounds_and_questions_alone(tmp_path):
    candidate = [outcomes(100), outcomes(0, "new"), outcomes(10, "twice", number="1")]
    champion = [outcomes(50, n=100), outcomes(200, "old"), outcomes(100, "twice", number="2")]
    made = decide(tmp_path, candidate, champion)
    assert list(made["differences"]) == ["arithmetic/round_1"]
    assert made["differences"]["arithmetic/round_1"]["mean"] == 0.5
    assert not made["promoted"], "a benchmark that is left out would be a way around a loss on it"
    assert made["why"].endswith("on old/round_1, twice/round_2")


def test_decide_without_a_shared_question_compares_nothing(tmp_path):
    other = {"arithmetic": {"protocol": "p1", "rounds": {"1": {"another": [True]}}}}
    assert decide(tmp_path, [outcomes(10)], [other])["differences"] == {}


@pytest.mark.parametrize("tags", [{}, {"report": "file:///nowhere/report/toy/1"}])
def test_decide_champion_whose_report_is_gone_says_what_to_do(tmp_path, tags):
    report(tmp_path, "candidate", outcomes(1))
    with pytest.raises(MissingInput, match="champion version 3: its report .* is gone; move the alias"):
        registry._decide(CONFIG, tmp_path / "report" / "candidate" / "1", ("3", tags), tmp_path)


class Models:
    """A model registry in memory, in the place of the functions of ``tracking``."""

    def __init__(self, monkeypatch):
        self.versions, self.aliases, self.checkpoints = [], {}, []
        monkeypatch.setattr(tracking, "require_server", lambda what: None)
        monkeypatch.setattr(tracking, "tags_of", self.tags_of)
        monkeypatch.setattr(tracking, "register", self.register)
        monkeypatch.setattr(tracking, "set_alias", lambda name, alias, version: self.aliases.update({alias: version}))

    def tags_of(self, name, alias):
        version = self.aliases.get(alias)
        return (version, self.versions[int(version) - 1]) if version else None

    def register(self, name, checkpoint, uri, run_id, tags):
        self.checkpoints.append(sorted(path.name for path in checkpoint.iterdir()))
        self.versions.append(dict(tags))
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
    assert models.aliases == {"candidate": "1", "champion": "1"}
    assert models.checkpoints == [["config.json", "model.safetensors"]]
    (tags,) = models.versions
    assert tags["fingerprint"] == checkpoint.fingerprint
    assert tags["report"].endswith("report/one/1")
    assert tags["decision"] == "there was no champion"
    assert manifest.metrics == {"promoted": 1, "version": 1}
    decision = json.loads((output / "decision.json").read_bytes())
    assert (decision["promoted"], decision["model"], decision["version"]) == (True, "toy", "1")
    assert "Promoted to champion" in (output / "report.html").read_text(encoding="utf-8")


def test_registry_worse_model_is_registered_and_not_promoted_and_a_better_one_is(tmp_path, models):
    register(tmp_path, "one", 100)
    manifest, output, _ = register(tmp_path, "worse", 20)
    assert models.aliases == {"candidate": "2", "champion": "1"}
    assert manifest.metrics["promoted"] == 0
    assert "worse than champion version 1 on arithmetic/round_1" in (output / "report.html").read_text(encoding="utf-8")
    register(tmp_path, "better", 150)
    assert models.aliases == {"candidate": "3", "champion": "3"}


def test_registry_again_registers_nothing(tmp_path, models):
    register(tmp_path, "one", 100)
    checkpoint, given = (tmp_path / "sft" / "one" / "1").as_uri(), (tmp_path / "report" / "one" / "1").as_uri()
    result = execute(
        registry, CONFIG, {"report": [given], "checkpoint": [checkpoint]}, (tmp_path / "registry" / "one" / "1").as_uri()
    )
    assert result.skipped
    assert len(models.versions) == 1


def test_registry_without_a_server_says_how_to_start_one(tmp_path):
    with pytest.raises(TrackingFailed, match="MLFLOW_TRACKING_URI is not set; `make up` starts one"):
        register(tmp_path, "one", 100)


def test_registry_page_has_the_scores_of_the_other_reports(tmp_path, models):
    base, trained = (
        publish(tmp_path, "sft", name, minute, files={"model.safetensors": None}) for name, minute in (("a", 1), ("b", 2))
    )
    earlier = publish_report(tmp_path, "toy-base", 3, base, [(0.125, 0.1, 0.2)])
    scratch = tmp_path / "scratch"
    (scratch / "output").mkdir(parents=True)
    (scratch / "outcomes.json").write_text("{}")
    uris = {
        "report": [publish_report(tmp_path, "toy-1", 4, trained, [(0.875, 0.8, 0.9)])],
        "checkpoint": [trained],
        "others": [earlier],
    }
    registry.run(CONFIG, registry.Inputs(scratch=scratch, report=scratch, checkpoint=scratch, uris=uris))
    page = (scratch / "output" / "report.html").read_text(encoding="utf-8")
    assert "0.125" in page
    assert "0.875" in page
