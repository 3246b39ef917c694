"""selected + questions + checkpoint (+ graded) -> rl: GRPO on one difficulty stage's questions, rewarded by the verifier."""

from collections.abc import Sequence

from stillhouse.execution.contract import Outputs
from stillhouse.training.rl.config import RlConfig, RlInputs

SCHEMA_VERSION = 2

Config = RlConfig
Inputs = RlInputs


def run(config: RlConfig, inputs: RlInputs) -> Outputs:
    """Train, and write the checkpoint, sample rollouts, and how often each question was asked and solved."""
    from stillhouse.training.rl import policy_training

    return policy_training.run(config, inputs)


def early_files(names: Sequence[str]) -> Sequence[str]:
    """Of the files that an earlier try left, those that this node resumes from."""
    from stillhouse.training.checkpoint_files import needed

    return needed(names)
