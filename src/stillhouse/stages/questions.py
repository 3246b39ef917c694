"""sources -> questions: read, mix, filter, deduplicate, keep benchmarks out, label.

Every row is judged alone and spooled to disk; then duplicates are decided; then the shard's questions are labelled and published.
"""

from stillhouse.curation.config import QuestionsConfig, QuestionsInputs
from stillhouse.execution.contract import Outputs

SCHEMA_VERSION = 3

Config = QuestionsConfig
Inputs = QuestionsInputs


def run(config: QuestionsConfig, inputs: QuestionsInputs) -> Outputs:
    """Make the questions. Raises NothingToDo without a source, or if no question is left."""
    from stillhouse.curation import curate
    from stillhouse.curation.funnel import steps_off
    from stillhouse.reporting.curation import write_curation

    curated = curate.curate(config, inputs)
    drops = curated.drops
    page = write_curation(inputs.output, drops.n_read, curated.kept, drops.dropped, drops.pairs.paths, steps_off(config))
    return Outputs(curated.metrics(), dict(drops.dropped), artifacts=[page])
