"""sources -> questions: read, mix, filter, deduplicate, keep benchmarks out, label.

Every row is judged alone and spooled to disk; then duplicates are decided; then the questions that stay are labelled and published.
"""

from stillhouse.curation.config import QuestionsConfig, QuestionsInputs
from stillhouse.execution.contract import Outputs

SCHEMA_VERSION = 3
STEP_INPUTS: dict[str, tuple[str, ...]] = {"read": (), "map": ("imported",), "combine": ("previous",), "apply": ()}
BY_FILE = ("imported",)
READS = {"previous": "opinions/"}

Config = QuestionsConfig
Inputs = QuestionsInputs


def run(config: QuestionsConfig, inputs: QuestionsInputs) -> Outputs:
    """Make the questions. Raises NothingToDo without a source, or if no question is left."""
    from stillhouse.curation import curate, shard_curation
    from stillhouse.curation.funnel import steps_off
    from stillhouse.reporting.curation import write_curation

    curated = (curate.curate if inputs.shard.count == 1 else shard_curation.apply)(config, inputs)
    # Of the rows that this shard keeps or drops: other shards' maps have read some of them.
    drops, n_rows = curated.drops, curated.kept.n_kept + curated.drops.dropped.total()
    page = write_curation(inputs.output, n_rows, curated.kept, drops.dropped, drops.pairs.paths, steps_off(config))
    return Outputs(curated.metrics(), dict(+drops.dropped), artifacts=[page])


def needs_steps(config: QuestionsConfig) -> bool:
    """Duplicates are decided over all questions, whatever the config."""
    return True


def needs_reading(config: QuestionsConfig) -> bool:
    """Some sources cannot be divided row by row."""
    from stillhouse.curation import dealing

    return any(map(dealing.is_dealt, config.sources))


def deal(config: QuestionsConfig, inputs: QuestionsInputs) -> Outputs:
    """Read those sources once for all shards."""
    from stillhouse.curation import dealing

    return dealing.deal(config, inputs)


def map_shard(config: QuestionsConfig, inputs: QuestionsInputs) -> Outputs:
    """Judge a share of the rows, each on its own."""
    from stillhouse.curation import shard_curation

    return shard_curation.map_share(config, inputs)


def combine(config: QuestionsConfig, inputs: QuestionsInputs) -> Outputs:
    """Decide which questions stay, over those of all shards."""
    from stillhouse.curation import shard_curation

    return shard_curation.combine(config, inputs)


def combine_reads(config: QuestionsConfig) -> tuple[str, ...]:
    """Comparing by meaning takes the texts too."""
    from stillhouse.curation import shard_curation

    return ("to-",) if shard_curation.reads_texts(config) else ()
