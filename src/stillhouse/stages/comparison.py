"""reports -> comparison: the paired differences of several checkpoints to the first, on one page."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from stillhouse.benchmarks.published_results import known_model
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.stages.report import OUTCOMES
from stillhouse.vocabulary.settings import StageConfig

if TYPE_CHECKING:
    from stillhouse.benchmarks.published_results import Published
    from stillhouse.reporting.summary import Score

COMPARISON = "comparison.json"
HTML = "comparison.html"


class Config(StageConfig):
    """How to show the reports."""

    labels: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.: -]+$")], ...] = ()
    """Names of the checkpoints, in the order of the reports; empty: the names of their artifacts."""
    beside: dict[str, Annotated[str, AfterValidator(known_model)]] = Field(default_factory=dict)
    """The model of a paper that stands for a checkpoint, by the checkpoint's name: the paper's comparison is shown under ours."""

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) < len(labels):
            msg = "labels are there to tell reports apart; give each its own"
            raise ValueError(msg)
        return labels


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """The reports; the others are compared with the first."""

    reports: tuple[Path, ...]


def run(config: Config, inputs: Inputs) -> Outputs:
    """Compare. Raises NothingToDo for one report alone, or reports that share no protocol."""
    from stillhouse.benchmarks.paired import differences
    from stillhouse.reporting.page import write_comparison
    from stillhouse.reporting.samples import of_comparison

    reports = dict(_labelled(config, inputs))
    outcomes = {label: json.loads((path / OUTCOMES).read_bytes()) for label, path in reports.items()}
    first, *others = outcomes
    compared = {label: differences(outcomes[label], outcomes[first]) for label in others}
    if not any(compared.values()):
        msg = f"comparison: {', '.join(others) or 'no other report'} and {first} share no protocol id; measure them alike"
        raise NothingToDo(msg)
    plain = {label: {name: asdict(each) for name, each in found.items()} for label, found in compared.items()}
    record = {"against": first, "differences": plain}
    (inputs.output / COMPARISON).write_text(json.dumps(record, indent=1), encoding="utf-8")
    scores = [score for label, measured in outcomes.items() for score in _scores(label, measured)]
    settings = _one_protocol(outcomes)
    measuring = {name: {label: reports[label] for label, found in outcomes.items() if name in found} for name in settings}
    published = _published(config, list(outcomes))
    write_comparison(inputs.output / HTML, scores, settings, first, compared, published, of_comparison(measuring))
    measured_by = [(f"{label}/{name}", each) for label, found in plain.items() for name, each in found.items()]
    metrics = {f"{prefix}/{end}": value for prefix, each in measured_by for end, value in each.items()}
    return Outputs(metrics=metrics, artifacts=[HTML, COMPARISON])


def _one_protocol(outcomes: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The settings of each benchmark that all reports measured by one protocol: only those stand beside published scores."""
    found: dict[str, list[Any]] = {}
    for measured in outcomes.values():
        for name, each in measured.items():
            found.setdefault(name, []).append(each)
    return {name: given[0]["settings"] for name, given in found.items() if len({each["protocol"] for each in given}) == 1}


def _published(config: Config, labels: list[str]) -> "list[Published]":
    """The papers' comparisons of the models that stand for ours. Raises BadConfig where one stands for no checkpoint."""
    from stillhouse.benchmarks.published_results import published

    if unknown := sorted(config.beside.keys() - set(labels)):
        msg = f"comparison: `beside` names {', '.join(unknown)}, the checkpoints are {', '.join(labels)}; use their names"
        raise BadConfig(msg)
    return published({label: config.beside[label] for label in labels if label in config.beside})


def _labelled(config: Config, inputs: Inputs) -> list[tuple[str, Path]]:
    from stillhouse.reporting.summary import artifact_name

    labels = config.labels or tuple(artifact_name(uri) for uri in inputs.uris["reports"])
    if len(set(labels)) != len(inputs.reports):
        msg = f"comparison: {len(inputs.reports)} reports and the names {', '.join(labels)}; give `labels`, one to a report"
        raise BadConfig(msg)
    return list(zip(labels, inputs.reports, strict=True))


def _scores(label: str, measured: Mapping[str, Any]) -> "Iterator[Score]":
    """The scores a report wrote down."""
    from stillhouse.benchmarks.intervals import Interval
    from stillhouse.reporting.summary import Score

    for name, each in measured.items():
        for number, score in each["scores"].items():
            questions = len(each["rounds"][number])
            interval = Interval(**score["pass_at_1"])
            yield Score(
                label, name, int(number), interval, questions, score["tokens"], score["stop_ratio"], each["protocol"][:8]
            )  # fmt: skip
