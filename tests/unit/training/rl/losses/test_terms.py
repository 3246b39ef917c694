import math

import pytest
import torch

from stillhouse.errors import BadConfig
from stillhouse.training.rl.config import RlConfig
from stillhouse.training.rl.losses import terms

MASK = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
VALUES = torch.tensor([[1.0, 3.0, 99.0], [2.0, 2.0, 5.0], [99.0, math.inf, 99.0]])


@pytest.mark.parametrize(
    ("how", "expected"),
    [("rollout_mean", (2 + 3) / 3), ("token_mean", 13 / 5), ("rollout_sum", 13 / 3), ("constant", 13 / (3 * 10))],
)
def test_aggregated_takes_learnt_tokens_alone_and_counts_all_rollouts(how, expected):
    assert terms.aggregated(VALUES, MASK, how, terms.StepSize(3, 5, 10)).item() == pytest.approx(expected)


def test_aggregated_value_of_a_rollout_counts_for_each_of_its_tokens():
    values = torch.tensor([[2.0], [3.0], [9.0]])
    assert terms.aggregated(values, MASK, "token_mean", terms.StepSize(3, 5, 10)).item() == pytest.approx((2 * 2 + 3 * 3) / 5)


def test_aggregated_nothing_learnt_is_zero():
    assert terms.aggregated(VALUES, torch.zeros_like(MASK), "token_mean", terms.StepSize(3, 0, 10)) == 0


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_divergence_of_equal_models_is_zero_and_its_mean_is_the_kl(estimator):
    generator = torch.Generator().manual_seed(0)
    policy, reference = (torch.randn(5, generator=generator).mul(0.2).log_softmax(0) for _ in range(2))
    samples = torch.multinomial(policy.exp(), 200_000, replacement=True, generator=generator)
    ones = torch.ones(1, len(samples))
    same = terms.divergence(policy[samples].unsqueeze(0), policy[samples].unsqueeze(0), ones, estimator)
    assert not same.any()
    found = terms.divergence(policy[samples].unsqueeze(0), reference[samples].unsqueeze(0), ones, estimator).mean().item()
    assert found == pytest.approx(float((policy.exp() * (policy - reference)).sum()), abs=3e-3)


def test_clipped_shares_count_what_a_bound_holds_back():
    tokens = terms.RolloutTokens(
        torch.log(torch.tensor([[0.5, 1.5, 1.5]])), torch.zeros(1, 3), torch.tensor([[-1.0, 1.0, -1.0]]), torch.ones(1, 3)
    )
    below, above = terms.clipped_shares(tokens, RlConfig())
    assert (below.tolist(), above.tolist()) == ([[1, 0, 0]], [[0, 1, 0]])
    assert not any(share.any() for share in terms.clipped_shares(tokens, RlConfig(algorithm="rloo")))


def test_policy_loss_of_ones_own_is_called_and_a_broken_one_is_named(tmp_path, monkeypatch):
    (tmp_path / "my_losses.py").write_text("def plain(tokens, settings):\n    return -tokens.advantages * tokens.logprobs\n")
    (tmp_path / "broken_losses.py").write_text("import nothing_of_this_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    tokens = terms.RolloutTokens(torch.full((1, 2), -2.0), torch.zeros(1, 2), torch.ones(1, 1), torch.ones(1, 2))
    settings = RlConfig(policy_loss="my_losses:plain")
    assert terms.policy_loss(settings)(tokens, settings).tolist() == [[2.0, 2.0]]
    with pytest.raises(BadConfig, match="loss broken_losses:plain: cannot import broken_losses"):
        terms.policy_loss(RlConfig(policy_loss="broken_losses:plain"))
