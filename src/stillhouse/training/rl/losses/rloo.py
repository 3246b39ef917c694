"""RLOO: REINFORCE on whole rollouts; the baseline of each is the mean of the others in its group.

    A_i = R_i - mean(R of the group's other rollouts),  R = score - kl_coefficient * sum_t log(policy/ref)
    loss = mean_i sum_t -r A,  nothing clipped

Source: Back to Basics, arXiv:2402.14740, equations 4 and 8. The paper's coefficients of the KL (0.03, 0.1) are for preference
rewards; the default here is the stage's.
"""

from stillhouse.training.rl.losses.preset import AlgorithmPreset

PRESET = AlgorithmPreset(
    "Back to Basics, arXiv:2402.14740 §3.3",
    {
        "advantage_baseline": "leave_one_out", "advantage_scale": "none", "clip_low": None, "clip_high": None,
        "loss_aggregation": "rollout_sum", "kl_estimator": "k1", "kl_placement": "reward", "entropy_coefficient": 0.0,
    },
)  # fmt: skip
