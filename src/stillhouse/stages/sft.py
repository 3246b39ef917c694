"""selected (+ checkpoint) -> sft: fine-tune on the examples of one split."""

from collections.abc import Sequence

from stillhouse.execution.contract import Outputs
from stillhouse.training.sft.config import SftConfig, SftInputs

SCHEMA_VERSION = 2

Config = SftConfig
Inputs = SftInputs


def run(config: SftConfig, inputs: SftInputs) -> Outputs:
    """Train, and write the checkpoint."""
    from stillhouse.training.sft import fine_tuning

    return fine_tuning.run(config, inputs)


def early_files(names: Sequence[str]) -> Sequence[str]:
    """Of the files that an earlier try left, those that this node resumes from."""
    from stillhouse.training.checkpoint_files import needed

    return needed(names)
