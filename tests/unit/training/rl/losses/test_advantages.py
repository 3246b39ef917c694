import inspect

import pytest
import torch
from trl import GRPOTrainer
from trl.trainer.utils import nanstd

from stillhouse.training.rl.config import RlConfig
from stillhouse.training.rl.losses.advantages import advantages, overlong_penalties

NAN = float("nan")
REWARDS = [1.0, 0.0, 0.0, NAN, 0.25, 0.5, 1.0, 0.75]


def of(rewards, lengths=None, divergence=None, **settings):
    lengths = lengths or [1] * len(rewards)
    mask = torch.tensor([[1.0] * length + [0.0] * (max(lengths) - length) for length in lengths], dtype=torch.float64)
    rewards = torch.tensor(rewards, dtype=torch.float64)
    return advantages(rewards, mask, 4, RlConfig(**settings), divergence, list)


def test_advantages_of_grpo_are_trls():
    rewards = torch.tensor(REWARDS, dtype=torch.float64).view(2, 4)
    expected = ((rewards - rewards.nanmean(1, keepdim=True)) / (nanstd(rewards, dim=1).unsqueeze(1) + 1e-4)).nan_to_num(0.0)
    assert of(REWARDS).flatten().tolist() == pytest.approx(expected.flatten().tolist())
    assert "advantages / (std_rewards + 1e-4)" in inspect.getsource(GRPOTrainer)


@pytest.mark.parametrize("settings", [{}, {"algorithm": "dr_grpo"}, {"algorithm": "rloo"}, {"algorithm": "reinforce_pp"}])
@pytest.mark.parametrize("rewards", [[0.5] * 4, [NAN] * 4, [NAN, NAN, NAN, 1.0]])
def test_advantages_of_rewards_that_say_nothing_are_zero(settings, rewards):
    assert of(rewards, **settings).tolist() == [[0.0]] * 4


def test_advantages_leave_one_out_compare_with_the_others_that_have_a_reward():
    assert of([1.0, 0.0, 0.5, NAN], algorithm="rloo").flatten().tolist() == [0.75, -0.75, 0.0, 0.0]


def test_advantages_over_the_batch_weigh_a_rollout_by_its_tokens():
    values = of([1.0, 0.0, 0.0, 0.0], [3, 1, 1, 1], algorithm="reinforce_pp", kl_coefficient=0).flatten()
    assert values.tolist() == pytest.approx([0.5 / 0.5001, *[-0.5 / 0.5001] * 3])


def test_advantages_with_a_divergence_fall_by_what_is_still_to_come():
    divergence = torch.tensor([[1.0, 2.0], [0.0, 0.0], [0.0, 0.0], [0.0, 9.0]], dtype=torch.float64)
    values = of(
        [0.0] * 4, [2, 2, 2, 1], divergence, algorithm="reinforce_pp", kl_coefficient=0.1, advantage_scale="none",
    )  # fmt: skip
    assert (values[0, 1] - values[0, 0]).item() == pytest.approx(0.1)
    assert values[1].tolist() == pytest.approx([0.5 / 7] * 2)
    assert values[3, 0] == values[1, 0]
    whole = of([0.0] * 4, [2, 2, 2, 1], divergence, algorithm="rloo", kl_coefficient=0.1)
    assert whole.flatten().tolist() == pytest.approx([-0.3, 0.1, 0.1, 0.1])


def test_overlong_penalties_rise_over_the_last_share_alone():
    lengths = torch.tensor([1, 80, 85, 90, 100])
    assert overlong_penalties(lengths, 100, 0.2, 0.5).tolist() == pytest.approx([0, 0, 0.125, 0.25, 0.5])
    assert overlong_penalties(lengths, 100, 0.0, 0.5).tolist() == [0.0] * 5
