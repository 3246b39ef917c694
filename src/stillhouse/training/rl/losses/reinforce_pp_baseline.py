"""REINFORCE++ with baseline, its variant for groups: the group's mean as baseline, one deviation for the whole step.

    D_i = R_i - mean(R of the group),  A_i = (D_i - mean(D of all tokens)) / std(D of all tokens)
    loss = sum_{i,t} ( -min(r A, clip(r, 1 - 0.2, 1 + 0.2) A) + kl_coefficient * log(policy/ref)^2 / 2 ) / (number of tokens)

Source: REINFORCE++, arXiv:2501.03262 (v9) §3, "w/ Baseline".
"""

from stillhouse.training.rl.losses.preset import AlgorithmPreset

PRESET = AlgorithmPreset(
    "REINFORCE++ w/ baseline, arXiv:2501.03262 §3",
    {"advantage_scale": "batch_std", "loss_aggregation": "token_mean", "kl_estimator": "k2", "entropy_coefficient": 0.0},
)
