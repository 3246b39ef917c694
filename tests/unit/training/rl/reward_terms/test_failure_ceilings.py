import pytest

from stillhouse.errors import TooManyErrors
from stillhouse.stages import rl
from stillhouse.training.rl.reward_terms.failure_ceilings import FailureCeilings
from stillhouse.training.rl.reward_terms.rollout import TermReward


def step(n, n_failed):
    failed = [{"style": TermReward.failed("timeout", "no reply")}] * n_failed
    return [*failed, *[{"style": TermReward(1.0)}] * (n - n_failed)]


def ceilings(rate):
    return FailureCeilings(rl.Config(rewards=[{"kind": "endpoint", "name": "style", "max_failure_rate": rate}]).rewards)


def test_failure_ceilings_a_rate_above_the_recipe_s_ends_the_run_with_the_reason():
    counted = ceilings(0.25)
    counted.count(step(32, 8))
    counted.count(step(32, 8))
    with pytest.raises(
        TooManyErrors, match=r"the reward style failed on 17 of 65 rollouts of the last 3 steps, more than its max_failure_rate of "
        r"0.25; the last: timeout: no reply",
    ):  # fmt: skip
        counted.count(step(1, 1))
    assert counted.failed == {"style": 17}


def test_failure_ceilings_few_rollouts_say_nothing():
    counted = ceilings(0)
    counted.count(step(63, 63))
    with pytest.raises(TooManyErrors, match="64 of 64"):
        counted.count(step(1, 1))


def test_failure_ceilings_a_service_that_dies_late_does_not_hide_behind_a_long_run():
    counted = ceilings(0.5)
    for _ in range(1000):
        counted.count(step(64, 0))
    for _ in range(5):
        counted.count(step(64, 64))
    with pytest.raises(TooManyErrors, match="384 of 640"):
        counted.count(step(64, 64))


def test_failure_ceilings_none_and_rollouts_of_other_categories_are_no_failures():
    counted = ceilings(0)
    for _ in range(3):
        counted.count([{"style": TermReward(None)}, {}] * 64)
    assert counted.failed == {"style": 0}
