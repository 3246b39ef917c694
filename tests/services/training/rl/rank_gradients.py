"""What each of a test's two processes runs: one step by several algorithms, on the checkpoint and in the directory named.

Rank 0 writes ``gradients.json``: by algorithm, how far the step's gradient is from the oracle's on the rollouts of both.
"""

import json
import sys
from pathlib import Path

import torch

from stillhouse.execution import processes
from tests.oracles.losses import ORACLES
from tests.services.training.rl import one_step

ALGORITHMS = {"grpo": {"kl_coefficient": 0.1, "entropy_coefficient": 0.5}, "reinforce_pp": {"kl_coefficient": 0.1}}


def main(checkpoint: Path, directory: Path) -> None:
    """Run all; the rollouts of the two processes differ."""
    torch.set_num_threads(1)
    distances = {}
    for algorithm, settings in ALGORITHMS.items():
        own = directory / f"{algorithm}-{processes.rank()}"
        own.mkdir()
        step = one_step.run(own, checkpoint, 2, algorithm=algorithm, **settings)
        of_both = processes.gathered((step.prompts, step.completions, step.scores))
        step.prompts, step.completions, step.scores = ([*first, *second] for first, second in zip(*of_both, strict=True))
        expected = step.gradient_of(
            lambda rollouts, algorithm=algorithm: ORACLES[algorithm](rollouts, 4, 0.1, 0.5, one_step.SETTINGS["max_tokens"])
        )
        distances[algorithm] = (len(step.scores), one_step.distance(expected, step.gradients))
    if processes.rank() == 0:
        (directory / "gradients.json").write_text(json.dumps(distances))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
