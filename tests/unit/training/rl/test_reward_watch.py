from types import SimpleNamespace

import pytest

from stillhouse.training.rl import reward_watch


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
