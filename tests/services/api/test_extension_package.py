"""The package in ``tests/extension_package``, installed: each of its extensions works by the name of its entry point."""

import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

import stillhouse as sh
from stillhouse import testing
from stillhouse.training.rl.config import RlConfig
from stillhouse.training.rl.environments import rollout_environment
from stillhouse.training.rl.losses.terms import RolloutTokens, policy_loss
from stillhouse.training.rl.reward_terms import weighted_sum
from stillhouse.training.rl.reward_terms.rollout import Rollout
from stillhouse.vocabulary.rows import Question, Response

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "tests" / "extension_package"
KINDS = ("verifier", "source", "benchmark", "reward", "environment", "tool", "loss", "engine")
LONGEST_EXAMPLE = 20


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package as an installer would leave it, on the path of this process and of its workers."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    site = tmp_path / "site-packages"
    info = site / f"stillhouse_example-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = (
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in points.items())])
        for group, points in project["entry-points"].items()
    )
    (info / "entry_points.txt").write_text("\n".join(groups))
    shutil.copy(PACKAGE / "stillhouse_example.py", site)
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    yield project["version"]
    sys.modules.pop("stillhouse_example", None)


def test_extension_verifier_scores_answers(installed):
    question = testing.question("Name the primary colours.", "red blue yellow")
    responses = [testing.response(question, answer, sample_index=index) for index, answer in enumerate(["Blue yellow red", "red"])]
    verdicts = sh.verify([question], responses, verifiers={"math": "same-words"}, self_test=False)
    assert verdicts.select("passed", "method").rows() == [(True, "same_words"), (False, "same_words")]


def test_extension_source_makes_questions_and_its_version_is_in_the_manifest(installed, tmp_path):
    source = {"kind": "squares", "name": "mine", "license": "CC0-1.0", "settings": {"largest": 9}}
    result = sh.run("questions", {"sources": [source]}, output=tmp_path / "questions" / "squares" / "1")
    assert result.manifest.config["sources"][0]["kind"] == f"squares@{installed}"
    references = sh.read(tmp_path / "questions" / "squares" / "1")["reference_answer"]
    assert sorted(map(int, references)) == [n * n for n in range(1, 10)]


def test_extension_engine_and_benchmark_make_a_report(installed, tmp_path):
    config = {"benchmarks": ["tiny-squares"], "engine": "parrot", "samples": 1}
    result = sh.run("report", config, output=tmp_path / "report" / "parrot" / "1")
    assert result.manifest.config["benchmarks"] == [f"tiny-squares@{installed}"]
    assert result.manifest.config["engine"] == f"parrot@{installed}"
    outcomes = sh.read(tmp_path / "report" / "parrot" / "1")
    assert outcomes["passed"].to_list() == [False] * 3


def test_extension_engine_answers_questions(installed, tmp_path):
    questions, answers = tmp_path / "questions" / "x" / "1", tmp_path / "responses" / "x" / "1"
    testing.publish(testing.questions(2), Question, str(questions))
    sh.run("responses", {"model": "p", "engine": "parrot", "samples": 1}, inputs={"questions": questions}, output=answers)
    assert sorted(answer.split("\n")[0] for answer in sh.read(answers)["answer"]) == ["What is 0 + 7?", "What is 1 + 7?"]
    assert set(sh.read(answers).columns) == {column.name for column in Response.SCHEMA}


def test_extension_reward_scores_rollouts_and_its_version_is_in_the_config(installed):
    config = RlConfig(rewards=[{"kind": "brevity", "weight": 2}])
    assert config.model_dump(mode="json")["rewards"][0]["kind"] == f"brevity@{installed}"
    question, text = testing.question("What is 1 + 1?", "2"), "<think>a</think><answer>2</answer>"
    with weighted_sum.load(config) as terms:
        scored = terms.score([Rollout(question, text, [1] * n) for n in (0, 250, 2000)])
    assert [rollout.reward for rollout in scored] == [2.0, 1.5, 0.0]


def test_extension_environment_plays_a_rollout(installed):
    config = RlConfig(environment={"kind": "higher-or-lower"}).environment
    assert config.kind == f"higher-or-lower@{installed}"
    assert "whole number" in rollout_environment.instructions(config)
    game = rollout_environment.load(config)(testing.question("Which number?", "7"))
    assert [game.reply(f"<answer>{guess}</answer>") for guess in (5, 9, "x", 7)] == [
        "higher", "lower", "That is no whole number in <answer> tags.", None,
    ]  # fmt: skip
    assert game.won


def test_extension_tool_is_called_by_the_model(installed):
    config = RlConfig(environment={"tools": ["leap-year", "calculator"]}).environment
    assert config.tools == (f"leap-year@{installed}", "calculator")
    tools = rollout_environment.load(config)(testing.question())
    call = '<tool_call>{"name": "leap-year", "arguments": {"year": 1900}}</tool_call>'
    assert tools.reply(call) == "<tool_response>\nFalse\n</tool_response>"
    assert "The year, such as 2024." in rollout_environment.instructions(config)


def test_extension_loss_reads_tokens(installed):
    import torch

    settings = RlConfig(policy_loss="imitation")
    assert settings.policy_loss == f"imitation@{installed}"
    tokens = RolloutTokens(torch.full((2, 1), -2.0), torch.zeros(2, 1), torch.tensor([[1.0], [-1.0]]), torch.ones(2, 1))
    assert policy_loss(settings)(tokens, settings).tolist() == [[2.0], [0.0]]


def example(kind):
    source = (PACKAGE / "stillhouse_example.py").read_text()
    return re.search(rf"^# {kind}\n(.*?)(?=^# \w+$|\Z)", source, re.MULTILINE | re.DOTALL)[1].strip()


@pytest.mark.parametrize("kind", KINDS)
def test_extension_page_shows_the_very_code_in_under_twenty_lines(kind):
    assert len(example(kind).splitlines()) < LONGEST_EXAMPLE
    assert example(kind) in (ROOT / "docs" / "extending.md").read_text()
