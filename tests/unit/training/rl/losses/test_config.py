import pytest
from pydantic import ValidationError

from stillhouse.training.rl.config import RlConfig
from stillhouse.training.rl.losses.config import ALGORITHMS, LossSettings


def test_settings_of_the_default_are_the_papers_grpo_and_leave_no_trace_in_the_config():
    settings = RlConfig()
    assert (settings.clip_low, settings.clip_high, settings.loss_aggregation) == (0.2, 0.2, "rollout_mean")
    assert (settings.advantage_baseline, settings.advantage_scale) == ("group_mean", "group_std")
    assert (settings.kl_estimator, settings.kl_ratio, settings.kl_coefficient) == ("k3", False, 0.001)
    assert set(settings.model_dump()) & set(LossSettings.model_fields) == {"kl_coefficient", "entropy_coefficient"}


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name != "grpo"])
def test_settings_of_an_algorithm_are_all_in_the_config_and_come_back_from_it(algorithm):
    settings = RlConfig(algorithm=algorithm)
    dumped = settings.model_dump(mode="json")
    assert dumped.items() >= ALGORITHMS[algorithm].settings.items()
    assert set(dumped) >= set(LossSettings.model_fields)
    assert RlConfig.model_validate(dumped) == settings


def test_setting_of_the_recipe_goes_before_the_algorithms():
    settings = RlConfig(algorithm="dapo", clip_high=0.2, overlong_share=0)
    assert (settings.clip_high, settings.overlong_share, settings.loss_aggregation) == (0.2, 0, "token_mean")
    assert RlConfig.model_validate(settings.model_dump(mode="json")) == settings


def test_algorithm_that_is_unknown_is_refused_with_those_there_are():
    with pytest.raises(ValidationError, match="'grpo', 'dr_grpo', 'dapo', 'gspo', 'cispo', 'rloo'"):
        RlConfig(algorithm="ppo")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kl_estimator": "k1"}, "kl_estimator k1 in the loss: its gradient is 0 in the mean"),
        ({"kl_placement": "reward", "kl_ratio": True}, "kl_ratio weighs a KL term of the loss, got kl_placement reward"),
        ({"advantage_baseline": "batch_mean"}, "advantage_scale group_std: .* take batch_std or none"),
        ({"algorithm": "reinforce_pp", "importance_level": "sequence"}, "importance_level sequence: one ratio for a rollout"),
        ({"algorithm": "dapo", "mask_truncated": True}, "set overlong_share: 0, or mask_truncated: false"),
        ({"clip_low": -0.1}, "greater than or equal to 0"),
        ({"policy_loss": "cliped"}, "no loss 'cliped'; did you mean clipped"),
    ],
)
def test_combination_without_sense_is_refused_in_a_line(values, words):
    with pytest.raises(ValidationError, match=words):
        RlConfig(**values)


@pytest.mark.parametrize("values", [{"kl_estimator": "k1", "kl_coefficient": 0}, {"kl_estimator": "k1", "kl_ratio": True}])
def test_combination_with_sense_is_taken(values):
    assert RlConfig(**values).kl_estimator == "k1"


def test_policy_loss_of_ones_own_is_pinned_by_its_source(tmp_path, monkeypatch):
    (tmp_path / "my_losses.py").write_text("def plain(tokens, settings):\n    return -tokens.advantages * tokens.logprobs\n")
    monkeypatch.syspath_prepend(tmp_path)
    settings = RlConfig(policy_loss="my_losses:plain")
    assert settings.policy_loss.startswith("my_losses:plain@sha256-")
    assert settings.model_dump()["policy_loss"] == settings.policy_loss
