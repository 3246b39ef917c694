import hashlib
import json
from html.parser import HTMLParser

import pytest
from pydantic import ValidationError

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.benchmarks.datasets import questions as benchmark_questions
from stillhouse.benchmarks.outcomes import read_outcomes
from stillhouse.benchmarks.protocol import protocol
from stillhouse.errors import EngineFailed
from stillhouse.execution.execute import execute
from stillhouse.sampling import engine as engines
from stillhouse.stages import report
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.rows import Question, Response, Verified

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
    outcomes = read_outcomes(output.as_uri()).benchmarks["arithmetic-toy"]
    measured = f"arithmetic-toy/{outcomes.protocol[:8]}"
    prefixes = [f"{measured}/round_{number}" for number in (1, 2)]
    assert set(manifest.metrics) - {f"{measured}/round_2/tokens_per_point"} == {
        *(f"{prefix}/{name}" for prefix in prefixes for name in ("pass_at_1", "pass_at_2", "low", "high", "tokens", "stop_ratio")),
        f"{measured}/round_2/wrong_to_correct", f"{measured}/round_2/correct_to_wrong", f"{measured}/n_unverified",
    }  # fmt: skip
    for prefix in prefixes:
        low, mean, high = (manifest.metrics[f"{prefix}/{name}"] for name in ("low", "pass_at_1", "high"))
        assert 0 <= low <= mean <= high <= 1
    questions = list(tables.read(output / "arithmetic-toy" / "questions", Question))
    assert outcomes.protocol == protocol(CONFIG, "arithmetic-toy@1", questions).id
    assert outcomes.settings.samples == 2
    assert outcomes.rounds[1].tokens == manifest.metrics[f"{prefixes[0]}/tokens"]
    assert set(outcomes.rounds[1].passed) == {each.question_id for each in questions}
    shares = [sum(passed) / len(passed) for passed in outcomes.rounds[1].passed.values()]
    assert manifest.metrics[f"{prefixes[0]}/pass_at_1"] == pytest.approx(sum(shares) / len(shares))
    responses = list(tables.read(output / "arithmetic-toy" / "responses", Response))
    verified = list(tables.read(output / "arithmetic-toy" / "verified", Verified))
    assert len(questions) * 4 == len(responses) == len({rows.response_key(row) for row in responses})
    assert [rows.response_key(row) for row in responses] == [rows.response_key(row) for row in verified]
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "<title>Evaluation of toy-base</title>" in page
    assert Outside(page).found == []


def test_report_of_a_perfect_model_is_1_and_counts_progress_over_benchmarks(tmp_path, monkeypatch):
    def answer(request):
        question = request.messages[-1]["content"].partition("\n")[0]
        return f"<think>easy</think><answer>{known[question]}</answer>"

    known = {each.messages[-1]["content"]: each.reference_answer for each in benchmark_questions("arithmetic-toy")}
    monkeypatch.setattr(engines, "load", lambda sampling, model: testing.ScriptedEngine(answer))
    seen = []
    (tmp_path / "scratch").mkdir()
    inputs = report.Inputs(scratch=tmp_path / "scratch", progress=lambda *step: seen.append(step))
    metrics = report.run(CONFIG, inputs).metrics
    assert [value for name, value in metrics.items() if name.endswith("pass_at_1")] == [1, 1]
    assert all(value < 1 for name, value in metrics.items() if name.endswith("low")), "24 right answers prove no perfect model"
    total = len(known) * 2 * 2
    assert seen[-1] == (total, total, "answers")
    assert "Evaluation of candidate" in (inputs.output / "report.html").read_text(encoding="utf-8")


def test_report_of_multiple_choice_is_judged_by_letters(tmp_path, monkeypatch):
    row = {"Question": "Which is a noble gas?", "Correct Answer": "neon"}
    row |= {f"Incorrect Answer {number}": name for number, name in enumerate(("iron", "zinc", "lead"), 1)}
    data = json.dumps(row).encode()
    (tmp_path / "gpqa-diamond.jsonl").write_bytes(data)
    monkeypatch.setenv("STILLHOUSE_BENCHMARKS", str(tmp_path))
    (tmp_path / "scratch").mkdir()

    def answer(request):
        place = next(line for line in request.messages[-1]["content"].splitlines() if line.endswith(") neon"))
        return f"<think>noble</think><answer>The answer is ({place[0]}).</answer>"

    monkeypatch.setattr(engines, "load", lambda sampling, model: testing.ScriptedEngine(answer))
    config = CONFIG.model_copy(update={"benchmarks": (f"gpqa-diamond@1:sha256-{hashlib.sha256(data).hexdigest()}",)})
    inputs = report.Inputs(scratch=tmp_path / "scratch")
    metrics = report.run(config, inputs).metrics
    assert [value for name, value in metrics.items() if name.endswith("pass_at_1")] == [1, 1]
    page = (inputs.output / "report.html").read_text(encoding="utf-8")
    assert "gpqa-diamond: beside the papers" in page
    assert "other protocol" in page


@pytest.mark.parametrize(("rules", "score"), [({}, 0), ({"relative": 0.5}, 1)])
def test_report_compares_math_answers_by_its_rules(tmp_path, monkeypatch, rules, score):
    known = {each.messages[-1]["content"]: each.reference_answer for each in benchmark_questions("arithmetic-toy")}

    def answer(request):
        return f"<think>roughly</think><answer>{float(known[request.messages[-1]['content'].partition(chr(10))[0]]) * 1.1}</answer>"

    monkeypatch.setattr(engines, "load", lambda sampling, model: testing.ScriptedEngine(answer))
    (tmp_path / "scratch").mkdir()
    metrics = report.run(
        report.Config(**CONFIG.model_dump() | {"answer_rules": rules}), report.Inputs(scratch=tmp_path / "scratch")
    ).metrics
    assert {value for name, value in metrics.items() if name.endswith("pass_at_1")} == {score}


def test_report_names_each_benchmark_once():
    with pytest.raises(ValidationError, match="arithmetic is named more than once"):
        report.Config(benchmarks=("arithmetic", "arithmetic@1"))


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
