"""REINFORCE++: a KL penalty on every token's return, and advantages normalised over all tokens of the step.

    R_{i,t} = score_i - kl_coefficient * sum_{s >= t} log(policy/ref)_{i,s}
    A_{i,t} = (R_{i,t} - mean(R of all tokens)) / std(R of all tokens)
    loss = sum_{i,t} -min(r A, clip(r, 1 - 0.2, 1 + 0.2) A) / (number of tokens)

Source: REINFORCE++, arXiv:2501.03262 (v9) §3.
"""

from stillhouse.training.rl.losses.preset import AlgorithmPreset

PRESET = AlgorithmPreset(
    "REINFORCE++, arXiv:2501.03262 §3",
    {
        "advantage_baseline": "batch_mean", "advantage_scale": "batch_std", "loss_aggregation": "token_mean",
        "kl_estimator": "k1", "kl_placement": "reward", "entropy_coefficient": 0.0,
    },
)  # fmt: skip
