import json
from html.parser import HTMLParser

import pytest
from pydantic import ValidationError

from stillhouse import rows, testing
from stillhouse.errors import EngineFailed
from stillhouse.rows import Question, Response, Verified
from stillhouse.sampling import engine as engines
from stillhouse.stage import execute
from stillhouse.stages import report

CONFIG = report.Config(
    benchmarks=("arithmetic-toy",), engine="transformers", samples=2, rounds=2, max_tokens=24, system_prompt="none", suffix="none"
)


class Outside(HTMLParser):
    """Addresses that scripts, styles and images are fetched from."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in {"src", "href"} and value.startswith(("http:", "https:", "//"))]


def test_report_of_a_tiny_model_has_rows_outcomes_metrics_and_a_page(tmp_path, checkpoint):
    given = (tmp_path / "sft" / "toy-base" / "1").as_uri()
    testing.publish_files({path.name: path.read_bytes() for path in checkpoint.iterdir() if path.is_file()}, "sft", given)
    output = tmp_path / "report" / "toy-base" / "1"
    manifest = execute(report, CONFIG, {"checkpoint": [given]}, output.as_uri()).manifest
    prefixes = [f"arithmetic-toy/round_{number}" for number in (1, 2)]
    assert set(manifest.metrics) == {
        *(f"{prefix}/{name}" for prefix in prefixes for name in ("pass_at_1", "low", "high", "tokens")),
        "arithmetic-toy/round_2/wrong_to_correct", "arithmetic-toy/round_2/correct_to_wrong", "arithmetic-toy/n_unverified",
    }  # fmt: skip
    for prefix in prefixes:
        low, mean, high = (manifest.metrics[f"{prefix}/{name}"] for name in ("low", "pass_at_1", "high"))
        assert 0 <= low <= mean <= high <= 1
    outcomes = json.loads((output / "outcomes.json").read_bytes())["arithmetic-toy"]
    assert outcomes["protocol"] == report.protocol_id(CONFIG, "arithmetic-toy")
    questions = list(rows.read(output / "arithmetic-toy" / "questions", Question))
    assert set(outcomes["rounds"]["1"]) == {each.question_id for each in questions}
    shares = [sum(passed) / len(passed) for passed in outcomes["rounds"]["1"].values()]
    assert manifest.metrics["arithmetic-toy/round_1/pass_at_1"] == pytest.approx(sum(shares) / len(shares))
    responses = list(rows.read(output / "arithmetic-toy" / "responses", Response))
    verified = list(rows.read(output / "arithmetic-toy" / "verified", Verified))
    assert len(questions) * 4 == len(responses) == len({rows.response_key(row) for row in responses})
    assert [rows.response_key(row) for row in responses] == [rows.response_key(row) for row in verified]
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "<title>Evaluation of toy-base</title>" in page
    assert Outside(page).found == []


def test_report_of_a_perfect_model_is_1_and_counts_progress_over_benchmarks(tmp_path, monkeypatch):
    def answer(request):
        question = request.messages[-1]["content"].partition("\n")[0]
        return f"<think>easy</think><answer>{known[question]}</answer>"

    from stillhouse import benchmarks

    known = {each.messages[-1]["content"]: each.reference_answer for each in benchmarks.questions("arithmetic-toy")}
    monkeypatch.setattr(engines, "load", lambda sampling, model: testing.ScriptedEngine(answer))
    seen = []
    (tmp_path / "scratch").mkdir()
    inputs = report.Inputs(scratch=tmp_path / "scratch", progress=lambda *step: seen.append(step))
    metrics = report.run(CONFIG, inputs).metrics
    assert [metrics[f"arithmetic-toy/round_{number}/pass_at_1"] for number in (1, 2)] == [1, 1]
    assert metrics["arithmetic-toy/round_1/low"] < 1, "24 right answers do not prove a perfect model"
    total = len(known) * 2 * 2
    assert seen[-1] == (total, total, "answers")
    assert "Evaluation of candidate" in (inputs.output / "report.html").read_text(encoding="utf-8")


def test_report_protocol_changes_with_what_changes_a_score_and_with_nothing_else():
    def name(**changes):
        return report.protocol_id(CONFIG.model_copy(update=changes), "arithmetic-toy")

    assert name() == name(model="other") == name(rounds=4) == name(verify_timeout_s=30.0)
    others = [name(samples=4), name(temperature=1.0), name(max_tokens=25), name(seed=1), name(suffix="boxed")]
    assert len({name(), *others, report.protocol_id(CONFIG, "arithmetic")}) == 7


def test_report_pins_the_revision_of_its_benchmarks():
    assert CONFIG.benchmarks == ("arithmetic-toy@1",)
    with pytest.raises(ValidationError, match="did you mean arithmetic"):
        report.Config(benchmarks=("arithmetik",))
    with pytest.raises(ValidationError, match="at least 1"):
        report.Config(benchmarks=())


def test_report_of_no_checkpoint_is_engine_failed(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "empty").mkdir()
    with pytest.raises(EngineFailed, match="cannot load it"):
        report.run(CONFIG, report.Inputs(scratch=tmp_path / "scratch", checkpoint=tmp_path / "empty"))
