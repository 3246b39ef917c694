"""Outcomes of a candidate and of the champion -> the candidate's rank, and why.

A benchmark's margin is the loss in pass@1 that still counts as no worse. The paired 95 % interval of the difference decides: if
all of it lies above -margin, the candidate is no worse; if all lies below, it is worse; otherwise the benchmark cannot tell.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.records import VersionedRecord
from stillhouse.benchmarks.intervals import Interval
from stillhouse.benchmarks.outcomes import OUTCOMES, Outcomes, read_outcomes
from stillhouse.benchmarks.paired import PairedDifference, differences
from stillhouse.errors import MissingInput
from stillhouse.registry.config import CANDIDATE, CHALLENGER, CHAMPION, REPLACES, Rank, RegistryConfig, Version

Finding = Literal["no worse", "worse", "cannot tell"]


@dataclass(frozen=True)
class Evidence:
    """What one benchmark in one round says about the candidate."""

    benchmark: str
    number: int
    """Of the round, from 1."""
    difference: Interval
    """pass@1 of the candidate minus the champion's, paired."""
    margin: float
    finding: Finding

    @property
    def name(self) -> str:
        """``BENCHMARK/round_N``."""
        return f"{self.benchmark}/round_{self.number}"

    def __str__(self) -> str:
        """``+0.012 [-0.010, +0.034], margin 0.025: no worse``."""
        interval = self.difference
        return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}], margin {self.margin:g}: {self.finding}"


@dataclass(frozen=True)
class GateDecision:
    """The candidate's rank, why it has it, and the evidence."""

    rank: Rank
    why: str
    against: str | None = None
    """Version of the champion; None if there was no champion."""
    evidence: tuple[Evidence, ...] = ()

    @property
    def description(self) -> str:
        """The decision and its evidence in a few lines."""
        return "\n".join([f"{self.rank}: {self.why}", *(f"{evidence.name}: {evidence}" for evidence in self.evidence)])


class DecisionRecord(VersionedRecord):
    """``decision.json``: what the gate decided about a registered version."""

    FILE: ClassVar[str] = "decision.json"

    version: Literal[1] = 1
    model: str
    """Name of the registered model."""
    model_version: str
    decision: GateDecision


def decide(
    ours: Outcomes, champion: Outcomes | None, version: str | None, margins: Mapping[str, float], margin: float
) -> GateDecision:
    """The candidate's rank against the champion ``version``; ``margins`` by benchmark, ``margin`` for all others.

    champion: no worse on every benchmark and round that the champion was measured on, and no loss on the mean over them, so that
    many small losses cannot add up unseen. challenger: worse on none, but not proven. candidate: worse, or not measured.
    """
    if champion is None:
        return GateDecision(CHAMPION, "there was no champion")
    paired = differences(ours, champion)
    evidence = tuple(_judged(difference, margins.get(difference.benchmark, margin)) for difference in paired)
    worse, unclear = ([item.name for item in evidence if item.finding == finding] for finding in ("worse", "cannot tell"))
    measured = {(difference.benchmark, difference.number) for difference in paired}
    missing = [f"{name}/round_{number}" for name, number in _rounds(champion) if (name, number) not in measured]
    mean = sum(difference.interval.mean for difference in paired) / max(len(paired), 1)
    rank: Rank = CHAMPION
    why = f"no benchmark is worse than champion version {version} by its margin"
    if worse:
        rank, why = CANDIDATE, f"worse than champion version {version} on {', '.join(worse)}"
    elif missing:
        remedy = "measure the champion as the candidate was measured, and set its version's tag `report` to that artifact"
        rank, why = CANDIDATE, f"not measured under the protocol of champion version {version} on {', '.join(missing)}: {remedy}"
    elif unclear:
        names = ", ".join(unclear)
        rank, why = CHALLENGER, f"a loss beyond the margin to champion version {version} cannot be ruled out on {names}"
    elif mean < 0:
        rank, why = CHALLENGER, f"within the margins of champion version {version}, but {mean:+.3f} on the mean over all"
    return GateDecision(rank, why, version, evidence)


def decide_rank(config: RegistryConfig, report: str, champion: Version | None) -> GateDecision:
    """The rank of the candidate whose report lies at the URI ``report``. Raises MissingInput if the champion's report is gone."""
    ours = read_outcomes(report)
    if champion is None:
        return decide(ours, None, None, config.margins, config.margin)
    version, tags = champion
    champion_report = tags.get("report", "")
    if not champion_report or manifests.read_file(champion_report, OUTCOMES) is None:
        gone = f"champion version {version}: its report {champion_report or '(no tag)'} is gone"
        msg = f"{gone}; move the alias `champion` by hand, or restore the report"
        raise MissingInput(msg)
    return decide(ours, read_outcomes(champion_report), version, config.margins, config.margin)


def decision_tags(decision: GateDecision) -> dict[str, str]:
    """The decision and its evidence, as tags of the version."""
    evidence = {f"gate/{item.name}": str(item) for item in decision.evidence}
    replaces = {REPLACES: decision.against} if decision.rank == CHAMPION and decision.against else {}
    return {"rank": decision.rank, "decision": decision.why, **evidence, **replaces}


def _rounds(outcomes: Outcomes) -> list[tuple[str, int]]:
    """Every measured (benchmark, round), sorted."""
    return sorted((name, number) for name, outcome in outcomes.benchmarks.items() for number in outcome.rounds)


def _judged(difference: PairedDifference, margin: float) -> Evidence:
    interval = difference.interval
    finding: Finding = "no worse" if interval.low >= -margin else "worse" if interval.high < -margin else "cannot tell"
    return Evidence(difference.benchmark, difference.number, interval, margin, finding)
