"""Reinforcement learning with verified rewards, as in Difficulty-Aware Staged RL §3–4, by TRL's trainer.

One step, in order, with the settings of GRPO (DeepSeekMath §4.1), which are that paper's; ``losses`` has other algorithms:

1. Take the next ``prompts_per_step`` questions; no question repeats before all others of its category were asked (``curriculum``),
   unless ``dynamic_sampling`` or ``active_sampling`` choose them (``question_choice``, ``resampling``).
2. Copy the trained weights to the rollout engine, and compare both sides' log-probabilities (``on_policy``, ``logprob_check``).
3. Write ``group_size`` rollouts per question at ``temperature``, cut at ``max_tokens`` (``rollout_engine``).
4. Reward each rollout with its verify score over the category's scale; 0 unless it is in the think/answer format (``rewards``).
5. Advantage: the reward minus its group's mean, over its group's standard deviation.
6. Loss: the policy gradient, averaged over a rollout's tokens and then over rollouts, plus ``kl_coefficient`` × KL towards the
   initial policy, minus ``entropy_coefficient`` × entropy (``losses``); one AdamW step at a constant learning rate.

What differs from the papers:

- Every batch of rollouts serves one step, so the clipped ratio of GRPO is always 1 and never clips, unless ``steps_per_batch`` says
  otherwise (``rollout_reuse``). With ``rollouts_ahead`` it was written by weights one update older.
- A rollout whose verification failed (timeout, error) has no reward: its group's mean and deviation, and the loss, are taken
  without it.
- With vLLM, the loss weighs each token by the truncated ratio of the trainer's probability to the engine's, since the two round
  differently.
- The papers give no criterion for a plateau, no rollout temperature and no optimizer state across stages: these are settings.
"""
