"""GSPO: one ratio for a whole rollout, and so one clip.

    s_i = exp( mean_t log r_{i,t} ),  A_i as in GRPO
    loss = mean_i -min(s A, clip(s, 1 - 0.0003, 1 + 0.0004) A)

Source: Group Sequence Policy Optimization, arXiv:2507.18071, equations 5 to 7 and §5.1. Its objective is printed without a KL term.
"""

from stillhouse.training.rl.losses.preset import AlgorithmPreset

PRESET = AlgorithmPreset(
    "GSPO, arXiv:2507.18071 §4",
    {
        "importance_level": "sequence", "clip_low": 3e-4, "clip_high": 4e-4, "kl_coefficient": 0.0, "entropy_coefficient": 0.0,
    },
)  # fmt: skip
