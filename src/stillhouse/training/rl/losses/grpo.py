"""GRPO: the reward against its group, averaged over a rollout's tokens and then over rollouts.

    A_i = (R_i - mean(R of the group)) / std(R of the group)
    loss = mean_i mean_t ( -min(r A, clip(r, 1 - 0.2, 1 + 0.2) A) + kl_coefficient * KL ),  KL = ref/policy - log(ref/policy) - 1

Source: DeepSeekMath, arXiv:2402.03300, equations 3 and 4. Difficulty-Aware Staged RL (§4.1) uses it and adds an entropy bonus; the
rl stage's defaults are that paper's.
"""

from stillhouse.training.rl.losses.preset import AlgorithmPreset

PRESET = AlgorithmPreset("DeepSeekMath, arXiv:2402.03300 §4.1", {})
