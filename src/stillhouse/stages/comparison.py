"""reports -> comparison: the paired differences of several checkpoints to the first, on one page."""

from stillhouse.benchmarks.config import ComparisonConfig, ComparisonInputs
from stillhouse.execution.contract import Outputs

HTML = "comparison.html"

Config = ComparisonConfig
Inputs = ComparisonInputs


def run(config: ComparisonConfig, inputs: ComparisonInputs) -> Outputs:
    """Compare. Raises NothingToDo if there is only one report, or no other report shares a protocol with the first."""
    from stillhouse.benchmarks.compared_reports import compare, labelled_reports
    from stillhouse.reporting.page import write_comparison

    reports = labelled_reports(config, inputs)
    compared = compare(config, reports)
    record = compared.record.write(inputs.output)
    write_comparison(inputs.output / HTML, compared, reports)
    return Outputs(metrics=compared.record.metrics(), artifacts=[HTML, record])
