import re
from types import SimpleNamespace

import pytest
from transformers import TrainerState

from stillhouse.errors import EngineFailed
from stillhouse.training.rl import reward_watch
from stillhouse.training.rl.reward_watch import StopWithoutLearning


@pytest.mark.parametrize(
    ("numbers", "expected"), [([], 0), ([0.5], 1), ([0.5, 0.5], 2), ([0.5, 0.25, 0.25, 0.25], 3), ([0.5, 0.25], 1)]
)
def test_equal_at_the_end_counts_the_last_equal_numbers(numbers, expected):
    assert reward_watch.equal_at_the_end(numbers) == expected


def test_rewards_are_without_steps_in_which_nothing_was_verified():
    state = SimpleNamespace(log_history=[{"reward": 0.5}, {"reward": None}, {"loss": 1.0}, {"reward": 0.75}])
    assert reward_watch.step_rewards(state) == [0.5, 0.75]


def test_constant_reward_is_said_after_every_so_many_steps(capsys, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_CONSTANT_STEPS", "3")
    logged = []
    inputs = SimpleNamespace(log=lambda numbers, step: logged.append((step, *numbers.values())))
    callback, history = reward_watch.WarnOfConstantReward(inputs), []
    for step, reward in enumerate([0.5, 0, 0, 0, 0, 0, 0, 1], start=1):
        history.append({"reward": reward})
        state = SimpleNamespace(log_history=history, global_step=step, is_world_process_zero=True)
        callback.on_log(None, state, None, logs=history[-1])
    callback.on_log(None, state, None, logs={"train_runtime": 1.0})
    assert logged == [(1, 1), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5), (7, 6), (8, 1)]
    said = capsys.readouterr().err.splitlines()
    assert [line[:57] for line in said] == [f"warning: the reward was 0 in each of the last {n} steps, so"[:57] for n in (3, 6)]


CUT = {"grad_norm": 0.5, "completions/clipped_ratio": 1.0, "frac_reward_zero_std": 1.0, "reward": 0.0}
DEAD = {"grad_norm": 0.0, "completions/clipped_ratio": 0.2, "frac_reward_zero_std": 1.0, "reward": 1.0}
ALIVE = {"grad_norm": 0.5, "completions/clipped_ratio": 0.5, "frac_reward_zero_std": 0.5, "reward": 0.3}


def watched(steps, max_steps=100):
    """What happens as the steps are logged one after the other."""
    watch, state = StopWithoutLearning(24, "<|im_end|>"), TrainerState(max_steps=max_steps)
    for number, step in enumerate(steps, 1):
        state.global_step = number
        state.log_history.append(step)
        watch.on_log(None, state, None)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (CUT, "every rollout was cut at max_tokens 24, before it ended with <|im_end|>, and rewards were equal; raise max_tokens"),
        (DEAD, "the gradient was 0, and all rollouts of a question had the same reward, 1 in the mean"),
        (DEAD | {"without_reward": 1.0}, "the gradient was 0, and no rollout had a reward"),
        (
            DEAD | {"frac_reward_zero_std": 0.0},
            "the gradient was 0, and all rollouts were left out of the loss: look at mask",
        ),
    ],
)
def test_stop_without_learning_ends_a_run_with_the_reason(monkeypatch, step, reason):
    monkeypatch.setenv("STILLHOUSE_DEAD_STEPS", "4")
    watched([ALIVE, step, step, step, ALIVE])
    with pytest.raises(EngineFailed, match=f"rl: nothing is learnt: in each of the last 4 steps {re.escape(reason)}"):
        watched([ALIVE, step, step, step, step])


def test_stop_without_learning_run_that_taught_nothing_from_first_to_last_step_is_an_error():
    with pytest.raises(EngineFailed, match="in each of the last 3 steps every rollout was cut"):
        watched([CUT, CUT, CUT], max_steps=3)
    watched([CUT, CUT], max_steps=2)
    watched([ALIVE, CUT, CUT], max_steps=3)


def test_stop_without_learning_cut_rollouts_whose_rewards_differ_teach():
    watched([CUT | {"frac_reward_zero_std": 0.5}] * 3, max_steps=3)
