"""selected + questions + checkpoint (+ graded) -> rl: GRPO on one difficulty stage's questions, rewarded by the verifier."""

from collections.abc import Sequence
from dataclasses import replace

from stillhouse.execution.contract import Outputs
from stillhouse.training.rl.config import RlConfig, RlInputs

SCHEMA_VERSION = 2

Config = RlConfig
Inputs = RlInputs


def run(config: RlConfig, inputs: RlInputs) -> Outputs:
    """Train, and write the checkpoint, sample rollouts, and how often each question was asked and solved."""
    from stillhouse.reporting.training_page import write_training
    from stillhouse.training import metrics_file
    from stillhouse.training.rl import policy_training

    outputs = policy_training.run(config, inputs)
    lines = list(metrics_file.read(inputs.output))  # rank 0 has them
    if not lines:
        return outputs
    page = write_training(inputs.output, lines, policy_training.LAST_STEP)
    return replace(outputs, artifacts=[*outputs.artifacts, page])


def early_files(names: Sequence[str]) -> Sequence[str]:
    """Of the files that an earlier try left, those that this node resumes from."""
    from stillhouse.training.checkpoint_files import needed

    return needed(names)
