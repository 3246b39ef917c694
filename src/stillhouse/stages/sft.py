"""selected (+ checkpoint) -> sft: fine-tune on the examples of one split."""

from collections.abc import Sequence
from dataclasses import replace

from stillhouse.execution.contract import Outputs
from stillhouse.training.sft.config import SftConfig, SftInputs

SCHEMA_VERSION = 2

Config = SftConfig
Inputs = SftInputs


def run(config: SftConfig, inputs: SftInputs) -> Outputs:
    """Train, and write the checkpoint."""
    from stillhouse.reporting.training_page import write_training
    from stillhouse.training import metrics_file
    from stillhouse.training.sft import fine_tuning

    outputs = fine_tuning.run(config, inputs)
    lines = list(metrics_file.read(inputs.output))  # rank 0 has them
    return replace(outputs, artifacts=[*outputs.artifacts, write_training(inputs.output, lines)]) if lines else outputs


def early_files(names: Sequence[str]) -> Sequence[str]:
    """Of the files that an earlier try left, those that this node resumes from."""
    from stillhouse.training.checkpoint_files import needed

    return needed(names)
