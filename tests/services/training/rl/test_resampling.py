"""Dynamic and active sampling through the rl stage: what is asked, what is learnt from, and that a resume changes neither."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.stages import rl
from stillhouse.training.rl.reward_terms import weighted_sum
from stillhouse.verification.verdict import Verdict
from stillhouse.vocabulary.rows import Question, Selected

SETTINGS = {
    "steps": 4, "group_size": 4, "prompts_per_step": 2, "max_tokens": 24, "learning_rate": 1e-4, "temperature": 1.5,
    "system_prompt": "none", "suffix": "none",
}  # fmt: skip
QUESTIONS = testing.questions(8)
EASY = {question.question_id for question in QUESTIONS[:5]}
"""Every response to these is right."""


class Scorer:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def warm(self, questions):
        pass

    def score(self, questions, responses):
        return [Verdict("correct", self.reward(*pair), "hash") for pair in zip(questions, responses, strict=True)]

    def reward(self, question, response):
        return 1.0 if question.question_id in EASY else float(hashlib.sha256(response.encode()).digest()[0] % 2)


@pytest.fixture(autouse=True)
def scorer(monkeypatch):
    monkeypatch.setattr(weighted_sum, "VerifierScorer", lambda *_: Scorer())


def stage(tmp_path, checkpoint, name="one", **changes):
    tables.write(tmp_path / "questions", QUESTIONS, Question)
    tables.write(tmp_path / "selected", [testing.selected(question, "rl_1") for question in QUESTIONS], Selected)
    (tmp_path / name).mkdir()
    paths = {"selected": tmp_path / "selected", "questions": tmp_path / "questions", "checkpoint": checkpoint}
    return rl.Inputs(scratch=tmp_path / name, **paths, **changes)


def run(tmp_path, checkpoint, **settings):
    steps = []
    inputs = stage(tmp_path, checkpoint, log=lambda numbers, step: steps.append(numbers))
    outputs = rl.run(rl.Config.model_validate(SETTINGS | settings), inputs)
    asked = json.loads((inputs.output / "asked.json").read_text())
    return outputs, [step for step in steps if "train/reward" in step], asked


def test_dynamic_sampling_asks_others_until_every_group_of_a_step_teaches(tmp_path, checkpoint):
    outputs, steps, asked = run(tmp_path, checkpoint, dynamic_sampling={"attempts": 50})
    assert [step["train/frac_reward_zero_std"] for step in steps] == [0] * 4
    assert all(step["train/grad_norm"] > 0 for step in steps)
    assert sum(step["train/refilled_share"] for step in steps) > 0
    assert sum(step["train/refill_attempts"] for step in steps) > 0
    assert sum(asked.values()) * 4 == outputs.metrics["n_rollouts_correct"] > 4 * 2 * 4
    assert max(asked.values()) - min(asked.values()) <= 1  # in the curriculum's order
    for step in steps:  # the easy ones are in what was asked, and not in what is learnt from
        assert step["train/reward_asked"] >= step["train/reward"]


def test_dynamic_sampling_that_finds_nothing_better_ends_at_its_bound(tmp_path, checkpoint, monkeypatch):
    monkeypatch.setattr(Scorer, "reward", lambda *_: 1.0)
    _, steps, asked = run(tmp_path, checkpoint, dynamic_sampling={"attempts": 2}, steps=2, kl_coefficient=0)
    assert [step["train/refill_attempts"] for step in steps] == [2, 2]
    assert [(step["train/refilled_share"], step["train/frac_reward_zero_std"]) for step in steps] == [(0, 1)] * 2
    assert sum(asked.values()) == 2 * 2 * 3


def test_active_sampling_turns_away_from_questions_that_teach_nothing(tmp_path, checkpoint):
    _, steps, asked = run(
        tmp_path, checkpoint, active_sampling={"exploration": 0.01, "prior_rollouts": 0.1}, steps=12, prompts_per_step=3
    )
    assert "train/refilled_share" in steps[0]
    hard = [question.question_id for question in QUESTIONS if question.question_id not in EASY]
    assert sum(asked.get(question_id, 0) for question_id in hard) / len(hard) > 2 * sum(asked[key] for key in EASY) / len(EASY)


@pytest.mark.parametrize(
    "settings",
    [
        {"dynamic_sampling": {"attempts": 3}},
        {"steps_per_batch": 4, "algorithm": "gspo"},
        {"dynamic_sampling": {"attempts": 3}, "active_sampling": {"exploration": 0.2}, "algorithm": "dapo"},
    ],
)
def test_run_that_ended_in_the_middle_goes_on_to_the_same_questions_and_weights(tmp_path, checkpoint, monkeypatch, settings):
    monkeypatch.setenv("STILLHOUSE_SAVE_STEPS", "1")
    config, root, output = rl.Config.model_validate(SETTINGS | settings), tmp_path / "store", tmp_path / "first" / "output"

    def publish(path):
        target = root / path.relative_to(output)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())

    ended = stage(
        tmp_path, checkpoint, "first", progress=lambda done, *_: 1 / (3 - done), publish_part=publish,
        retract_part=lambda path: (root / path.relative_to(output)).unlink(),
    )  # fmt: skip
    with pytest.raises(ZeroDivisionError):
        rl.run(config, ended)
    resumed, whole = stage(tmp_path, checkpoint, "resumed", finished=root), stage(tmp_path, checkpoint, "whole")
    rl.run(config, resumed)
    rl.run(config, whole)
    one, other = (load_file(inputs.output / "model.safetensors") for inputs in (resumed, whole))
    assert all(torch.equal(one[name], tensor) for name, tensor in other.items())
    for name in ("outcomes.json", "asked.json", "rollouts.table.json"):
        assert json.loads((resumed.output / name).read_text()) == json.loads((whole.output / name).read_text())
