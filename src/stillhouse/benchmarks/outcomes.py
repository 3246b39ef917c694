"""``outcomes.json``: the record of a report that the gate, comparisons and pages read."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from stillhouse.artifacts import records
from stillhouse.artifacts.records import VersionedRecord
from stillhouse.benchmarks.intervals import Interval
from stillhouse.benchmarks.trajectories import RoundStep
from stillhouse.vocabulary.ids import content_id
from stillhouse.vocabulary.settings import StageConfig

OUTCOMES = "outcomes.json"


class EvaluationProtocol(StageConfig):
    """Everything but the model and the machine that a score depends on."""

    benchmark: str
    """Name, revision and data; a window of dates is part of the name."""
    samples: int
    """Responses per question."""
    sampling: dict[str, Any]
    """Temperature, top_p, longest response, seed, and the prompts by name."""
    prompts: str
    """Digest of every word the model is told: questions, templates, and how a further round shows the last answer."""
    verifier: str
    """The verifier that judged the answers, with its version."""
    engine: str
    """The engine that ran the model, with its version."""

    @property
    def id(self) -> str:
        """Sixteen hex digits. The prompts' names are left out: ``prompts`` has the words of the categories in the benchmark."""
        return content_id(self.model_dump_json(exclude={"sampling": {"system_prompt", "suffix", "suffixes"}}))


class RoundOutcome(BaseModel):
    """One round of one model on one benchmark."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    passed: dict[str, list[bool]]
    """Question id -> whether each sample passed. Samples that the verifier failed on are left out."""
    pass_at_1: Interval
    pass_at_k: dict[int, Interval] = {}
    """By k = 2, 4, 8 …, as far as every question has that many verified samples."""
    tokens: float
    """Mean completion tokens of a response."""
    stop_ratio: float
    """Share of responses that ended before the token limit (DeepDistill, Fig. 5)."""


class BenchmarkOutcome(BaseModel):
    """One model on one benchmark, under one protocol."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: str
    """The protocol's id: outcomes compare only if it is equal."""
    settings: EvaluationProtocol
    """The protocol itself."""
    n_questions: int
    n_unverified: int
    """Responses that the verifier failed on."""
    rounds: dict[int, RoundOutcome]
    """By number of the round, from 1."""
    steps: list[RoundStep] = []
    """What each further round changed."""


class Outcomes(VersionedRecord):
    """All benchmarks of one report."""

    FILE: ClassVar[str] = OUTCOMES

    version: Literal[1] = 1
    benchmarks: dict[str, BenchmarkOutcome]
    """By bare name, without the pin."""


@dataclass(frozen=True)
class Score:
    """pass@1 of one checkpoint on one benchmark in one round."""

    label: str
    benchmark: str
    number: int
    """Of the round, from 1."""
    measured: Interval
    questions: int
    tokens: float
    """Mean tokens of a response."""
    stop_ratio: float
    """Share of responses that ended before the token limit."""
    protocol: str = ""
    """The first digits of the protocol's id: scores compare where they are equal."""


def read_outcomes(uri: str) -> Outcomes:
    """The outcomes of the report at a URI. Raises MissingInput if it has none, BadRows if another release wrote them."""
    return records.read(Outcomes, uri)


def scores(label: str, outcomes: Outcomes) -> Iterator[Score]:
    """A score for each benchmark and round of a checkpoint named ``label``."""
    for name, outcome in outcomes.benchmarks.items():
        for number, result in outcome.rounds.items():
            yield Score(
                label, name, number, result.pass_at_1, outcome.n_questions, result.tokens, result.stop_ratio, outcome.protocol[:8]
            )
