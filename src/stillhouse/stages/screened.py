"""questions + responses -> screened: which responses are fit to learn from, by structure, repetition and perplexity."""

from dataclasses import replace

from stillhouse.execution.contract import Outputs
from stillhouse.screening.config import ScreenedConfig, ScreenedInputs

SCHEMA_VERSION = 2
STEP_INPUTS: dict[str, tuple[str, ...]] = {
    "map": ("responses",), "combine": (), "apply": ("questions", "responses", "scorer"),
}  # fmt: skip
Config = ScreenedConfig
Inputs = ScreenedInputs


def run(config: ScreenedConfig, inputs: ScreenedInputs) -> Outputs:
    """Screen every response. Raises BadRows if no response answers a question that is there, NothingToDo without responses."""
    from stillhouse.reporting.screened_page import write_screened
    from stillhouse.screening.rules import RULES, rules_off
    from stillhouse.screening.two_passes import screen_all

    outputs = screen_all(config, inputs)
    n_screened = int(outputs.metrics["n_screened"])
    page = write_screened(inputs.output, n_screened, outputs.dropped, RULES, rules_off(config))
    return replace(outputs, artifacts=[*outputs.artifacts, page])


def needs_steps(config: ScreenedConfig) -> bool:
    """Strings are counted over the responses of all shards."""
    return config.max_ngram_count is not None


def map_shard(config: ScreenedConfig, inputs: ScreenedInputs) -> Outputs:
    """Count the strings of a share of the responses."""
    from stillhouse.screening.two_passes import count_share

    return count_share(config, inputs)


def combine(config: ScreenedConfig, inputs: ScreenedInputs) -> Outputs:
    """Add up the counts of all shards."""
    from stillhouse.screening.two_passes import combine_counts

    return combine_counts(config, inputs)
