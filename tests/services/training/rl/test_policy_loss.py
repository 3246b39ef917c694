"""The gradient of a whole step against the oracles, and against itself for other sizes of a forward pass."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from trl import GRPOTrainer

from stillhouse.training.rl.policy_loss import PolicyLossMixin
from tests.oracles.losses import ORACLES
from tests.services.training.rl import one_step
from tests.services.training.rl.one_step import distance

KL, ENTROPY = 0.1, 0.5
TOLERANCE = 1e-6
"""TRL's output head computes in float32, whatever the weights are."""


def oracle(name, kl=KL, entropy=ENTROPY):
    return lambda rollouts: ORACLES[name](rollouts, one_step.SETTINGS["group_size"], kl, entropy, one_step.SETTINGS["max_tokens"])


@pytest.mark.parametrize("algorithm", ORACLES)
def test_gradient_of_an_algorithm_is_that_of_its_paper_however_many_rollouts_a_pass_takes(tmp_path, checkpoint, algorithm):
    settings = {"algorithm": algorithm} | ({"kl_coefficient": KL} if algorithm in {"grpo", "rloo"} or "pp" in algorithm else {})
    settings |= {"entropy_coefficient": ENTROPY} if algorithm == "grpo" else {}
    whole, single = (one_step.run(tmp_path, checkpoint, size, **settings) for size in (8, 1))
    assert whole.completions == single.completions
    assert len({len(ids) for ids in whole.prompts}) > 1
    assert len({len(ids) for ids in whole.completions}) > 2
    assert whole.scores.count(None) == 1
    assert distance(whole.gradient_of(oracle(algorithm)), whole.gradients) < TOLERANCE
    assert distance(whole.gradients, single.gradients) < TOLERANCE


def test_gradient_without_an_old_policy_takes_the_kl_of_a_reward_from_the_policy_itself(tmp_path, checkpoint):
    step = one_step.run(tmp_path, checkpoint, 2, plants_old=False, algorithm="reinforce_pp", kl_coefficient=KL)
    assert distance(step.gradient_of(oracle("reinforce_pp")), step.gradients) < TOLERANCE


def test_gradient_leaves_out_truncated_rollouts_however_many_a_pass_takes(tmp_path, checkpoint):
    settings = {"mask_truncated": True, "max_tokens": 12, "kl_coefficient": KL, "entropy_coefficient": ENTROPY}
    whole, pairs = (one_step.run(tmp_path, checkpoint, size, **settings) for size in (8, 2))
    n_cut = sum(ids[-1] not in whole.ends for ids in whole.completions)
    assert 0 < n_cut < 8
    assert distance(whole.gradient_of(oracle("grpo"), masks_cut=True), whole.gradients) < TOLERANCE
    assert distance(whole.gradients, pairs.gradients) < TOLERANCE


SETTINGS = {
    "k1 with the ratio": (
        {"kl_estimator": "k1", "kl_ratio": True},
        lambda step: sum((own.ratio * (own.logprobs - own.reference)).sum() / len(own.old) for own in learnt(step)) / len(step),
    ),
    "k2": (
        {"kl_estimator": "k2"},
        lambda step: sum(((own.logprobs - own.reference) ** 2).mean() / 2 for own in learnt(step)) / len(step),
    ),
    "k3 with the ratio": (
        {"kl_ratio": True}, lambda step: sum((own.ratio * own.k3).sum() / len(own.old) for own in learnt(step)) / len(step),
    ),
    "entropy by rollout": (
        {"entropy_aggregation": "rollout_mean", "entropy_coefficient": KL, "kl_coefficient": 0},
        lambda step: -sum(own.entropy.mean() for own in learnt(step)) / len(step),
    ),
}  # fmt: skip
"""Settings, and what they add to GRPO's loss, times KL."""


def learnt(step):
    return [rollout for rollout in step if rollout.is_learnt]


@pytest.mark.parametrize("name", SETTINGS)
def test_gradient_of_a_setting_is_what_it_says(tmp_path, checkpoint, name):
    settings, term = SETTINGS[name]
    step = one_step.run(tmp_path, checkpoint, 2, **({"entropy_coefficient": 0, "kl_coefficient": KL} | settings))
    expected = step.gradient_of(lambda rollouts: oracle("grpo", kl=0, entropy=0)(rollouts) + KL * term(rollouts))
    assert distance(expected, step.gradients) < TOLERANCE


TRLS_OWN = {
    "grpo": {"loss_type": "grpo", "epsilon_high": 0.2},
    "dr_grpo": {"loss_type": "dr_grpo", "epsilon_high": 0.2},
    "dapo": {"loss_type": "dapo", "epsilon_high": 0.28},
    "gspo": {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon_low": 3e-4, "epsilon_high": 4e-4},
    "cispo": {"loss_type": "cispo", "epsilon_high": 5.0},
}
"""What TRL's trainer needs for the same formula; it has no KL other than k3, and none of the other algorithms."""


@pytest.mark.parametrize("algorithm", TRLS_OWN)
def test_gradient_is_trls_where_trl_has_the_formula(tmp_path, checkpoint, monkeypatch, algorithm):
    # With gspo TRL would weigh a token's KL by its rollout's ratio.
    kl = 0.0 if algorithm == "gspo" else KL
    settings = {"algorithm": algorithm, "kl_coefficient": kl, "entropy_coefficient": 0, "kl_ratio": True}
    own = one_step.run(tmp_path, checkpoint, 2, n_failed=0, **settings)

    def trls(trainer, model, inputs):
        for name, value in TRLS_OWN[algorithm].items():
            setattr(trainer, name, value)
        return GRPOTrainer._compute_loss(trainer, model, inputs)

    monkeypatch.setattr(PolicyLossMixin, "_compute_loss", trls)
    theirs = one_step.run(tmp_path, checkpoint, 2, n_failed=0, **settings)
    assert own.completions == theirs.completions
    assert distance(theirs.gradients, own.gradients) < TOLERANCE


def test_logs_of_a_step_do_not_depend_on_the_size_of_a_pass(tmp_path, checkpoint):
    names = ["loss", "policy_loss", "kl", "entropy", "clip_ratio/low_mean", "clip_ratio/high_mean", "overlong_penalty", "reward"]
    settings = {"algorithm": "dapo", "kl_coefficient": KL, "overlong_penalty": 0.5}
    whole, single = (one_step.run(tmp_path, checkpoint, size, **settings).logs for size in (8, 1))
    for name in names:
        assert whole[f"train/{name}"] == pytest.approx(single[f"train/{name}"], rel=1e-5), name
    assert 0 < whole["train/overlong_penalty"] < 0.5
    assert whole["train/clip_ratio/high_mean"] > 0


@pytest.mark.timeout(300)
def test_gradient_of_two_processes_is_that_of_all_rollouts_together(tmp_path, checkpoint):
    driver = Path(__file__).with_name("rank_gradients.py")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", driver, checkpoint, tmp_path]
    variables = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "TQDM_DISABLE": "1", "PYTHONPATH": str(Path(__file__).parents[4])}
    ended = subprocess.run(launcher, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert ended.returncode == 0, ended.stdout
    distances = json.loads((tmp_path / "gradients.json").read_text())
    assert distances.keys() == {"grpo", "reinforce_pp"}
    for algorithm, (n_rollouts, far) in distances.items():
        assert n_rollouts == 8
        assert far < TOLERANCE, algorithm
