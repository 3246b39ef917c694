"""CISPO: the ratio is clipped as a weight, so that every token keeps its gradient.

    A_i as in GRPO,  w = min(r, 1 + clip_high) without a gradient
    loss = sum_{i,t} -w A log(policy) / (number of tokens),  no KL

Source: MiniMax-M1, arXiv:2506.13585 §3.1, equations 4 and 5, without a lower bound as there. The paper gives no upper bound; 1 + 4
is that of ScaleRL, arXiv:2510.13786.
"""

from stillhouse.training.rl.losses.preset import AlgorithmPreset

PRESET = AlgorithmPreset(
    "MiniMax-M1, arXiv:2506.13585 §3.1",
    {
        "policy_loss": "clipped_weight", "clip_low": None, "clip_high": 4.0, "loss_aggregation": "token_mean",
        "kl_coefficient": 0.0, "entropy_coefficient": 0.0,
    },
)  # fmt: skip
