"""Steps on rollouts of an earlier policy: the ratio moves, and its bounds act."""

import pytest
from pydantic import ValidationError

from stillhouse.errors import BadConfig
from stillhouse.stages import rl
from stillhouse.training.rl.rollout_reuse import RolloutReuseMixin
from tests.oracles.losses import grpo
from tests.services.training.rl import one_step


def test_second_step_on_the_same_rollouts_has_a_ratio_and_is_clipped(tmp_path, checkpoint):
    steps = []
    settings = {"steps": 4, "steps_per_batch": 2, "learning_rate": 3e-2, "prompts_per_step": 1}
    one_step.run(tmp_path, checkpoint, 2, plants_old=False, on_log=steps.append, **settings)
    steps = [step for step in steps if "train/grad_norm" in step]
    clipped = [step["train/clip_ratio/low_mean"] + step["train/clip_ratio/high_mean"] for step in steps]
    assert clipped[0] == clipped[2] == 0
    assert clipped[1] > 0
    assert ["train/reward" in step for step in steps] == [True, False, True, False]


def test_steps_on_the_same_rollouts_have_together_the_gradient_of_all_of_them(tmp_path, checkpoint):
    settings = {"steps": 2, "steps_per_batch": 2, "prompts_per_step": 1, "learning_rate": 1e-9, "kl_coefficient": 0.1}
    settings["entropy_coefficient"] = 0
    step = one_step.run(tmp_path, checkpoint, 4, plants_old=False, **settings)
    whole = step.gradient_of(lambda rollouts: 2 * grpo(rollouts, 4, 0.1, 0, 24))
    halves = [one + other for one, other in zip(step.gradients, step.first_gradients, strict=True)]
    assert one_step.distance(whole, halves) < 2e-6


def test_steps_that_are_no_multiple_of_a_batch_are_refused():
    with pytest.raises(ValidationError, match="steps 5 is not a multiple of steps_per_batch 2; change one of the two"):
        rl.Config(steps=5, steps_per_batch=2)


def test_rollouts_of_another_number_of_processes_are_refused(tmp_path, monkeypatch):
    (tmp_path / "checkpoint-3").mkdir()
    for rank in range(2):
        (tmp_path / "checkpoint-3" / f"rollouts-{rank}.pt").touch()
    monkeypatch.setattr("trl.GRPOTrainer._load_optimizer_and_scheduler", lambda *_: None)
    with pytest.raises(BadConfig, match="checkpoint-3 .* rollouts of 2 processes, this one has 1; run it as before"):
        RolloutReuseMixin._load_optimizer_and_scheduler(object.__new__(RolloutReuseMixin), str(tmp_path / "checkpoint-3"))
