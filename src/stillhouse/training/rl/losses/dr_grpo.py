"""Dr. GRPO: GRPO without its two biases, the division by a rollout's length and by the group's deviation.

    A_i = R_i - mean(R of the group)
    loss = sum_{i,t} -min(r A, clip(r, 1 - 0.2, 1 + 0.2) A) / (number of rollouts * max_tokens),  no KL, no entropy

Source: Understanding R1-Zero-Like Training, arXiv:2503.20783 §3.2; the constant is the longest rollout, as in the paper's code.
"""

from stillhouse.training.rl.losses.preset import AlgorithmPreset

PRESET = AlgorithmPreset(
    "Understanding R1-Zero-Like Training, arXiv:2503.20783 §3.2",
    {"advantage_scale": "none", "loss_aggregation": "constant", "kl_coefficient": 0.0, "entropy_coefficient": 0.0},
)
