"""The algorithms of the rl stage: each a file with its formula and its source, and all of them settings of one loss.

The loss of a step, to be minimised, over the rollouts i and their tokens t:

    aggregate( policy(r_{i,t}, A_{i,t}) * c_{i,t} + kl_coefficient * KL_{i,t} ) - entropy_coefficient * aggregate( H_{i,t} )

- ``policy``: ``clipped``, ``clipped_weight``, or a function of the user's own (``policy_loss``, ``terms``).
- r: the probability of the token now over its probability when it was written, or their geometric mean over the rollout
  (``importance_level``).
- A: the reward minus a baseline, over a scale (``advantage_baseline``, ``advantage_scale``, ``advantages``).
- c: corrects for a rollout engine that rounds differently (``engine_correction``); 1 with transformers.
- KL: an estimate of the divergence from the initial policy (``kl_estimator``, ``kl_ratio``, ``kl_placement``).
- H: the entropy of the policy's distribution.
- aggregate, over i and t: ``loss_aggregation``, ``entropy_aggregation``. Its sums run over the whole step, however the step is cut
  into passes.

To add an algorithm, write a file like ``dapo`` and add it to ``ALGORITHMS`` in ``config``.
"""
