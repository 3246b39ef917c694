"""DAPO: clip-higher, a mean over tokens, and a soft punishment of long rollouts.

    A_i = (R_i - mean(R of the group)) / std(R of the group),  R = score + punishment
    loss = sum_{i,t} -min(r A, clip(r, 1 - 0.2, 1 + 0.28) A) / (number of tokens),  no KL, no entropy

The punishment falls from 0 to -1 over the last fifth of max_tokens (the paper: the last 4,096 of 20,480). DAPO's dynamic sampling
is the setting ``dynamic_sampling``. Source: DAPO, arXiv:2503.14476, §3.1, §3.3 (equation 12), §3.4 (equation 13) and §4.1.
"""

from stillhouse.training.rl.losses.preset import AlgorithmPreset

PRESET = AlgorithmPreset(
    "DAPO, arXiv:2503.14476 §3",
    {
        "clip_high": 0.28, "loss_aggregation": "token_mean", "overlong_share": 0.2, "kl_coefficient": 0.0,
        "entropy_coefficient": 0.0,
    },
)  # fmt: skip
