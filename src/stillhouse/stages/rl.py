"""selected + questions + checkpoint (+ graded) -> rl: GRPO on one difficulty stage's questions, rewarded by the verifier."""

from stillhouse.execution.contract import Outputs
from stillhouse.training.rl.config import RlConfig, RlInputs

SCHEMA_VERSION = 2

Config = RlConfig
Inputs = RlInputs


def run(config: RlConfig, inputs: RlInputs) -> Outputs:
    """Train, and write the checkpoint, sample rollouts, and how often each question was asked and solved."""
    from stillhouse.training.rl import policy_training

    return policy_training.run(config, inputs)
