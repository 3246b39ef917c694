"""questions + responses -> screened: which responses are fit to learn from, by structure, repetition and perplexity."""

from stillhouse.execution.contract import Outputs
from stillhouse.screening.config import ScreenedConfig, ScreenedInputs

SCHEMA_VERSION = 2
Config = ScreenedConfig
Inputs = ScreenedInputs


def run(config: ScreenedConfig, inputs: ScreenedInputs) -> Outputs:
    """Screen every response. Raises BadRows if no response answers a question that is there, NothingToDo without responses."""
    from stillhouse.screening.two_passes import screen_all

    return screen_all(config, inputs)
