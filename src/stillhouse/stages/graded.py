"""questions + verified -> graded: how hard each question is, by the pass rates of the models that answered it."""

from stillhouse.execution.contract import Outputs
from stillhouse.grading.config import GradedConfig, GradedInputs

SCHEMA_VERSION = 4
Config = GradedConfig
Inputs = GradedInputs


def run(config: GradedConfig, inputs: GradedInputs) -> Outputs:
    """Grade every question that has a score.

    Raises BadConfig for a model without verdicts, NothingToDo without any verdict, BadRows for two pass thresholds in one category.
    Dropped: ``no_verdict``, questions without a score; ``unknown_question``, questions that only the verdicts name.
    """
    from stillhouse.grading.grades import grade

    return grade(config, inputs)
