"""Outcomes of a candidate and of the champion -> which of the two is to be used, and why.

A benchmark's margin is the loss that may not go unseen. Where the paired 95 % interval of the difference lies tells three cases
apart: wholly above -margin the candidate is no worse, wholly below it is worse, and across it the benchmark cannot tell.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from stillhouse.benchmarks.intervals import Interval
from stillhouse.benchmarks.paired import OutcomesByName, differences

CANDIDATE, CHALLENGER, CHAMPION = "candidate", "challenger", "champion"
"""Ranks, and the aliases of the registered versions that hold them. Every version is a candidate first."""
NO_WORSE, WORSE, OPEN = "no worse", "worse", "cannot tell"


@dataclass(frozen=True)
class Decision:
    """``evidence``: by benchmark and round mean, low, high, margin and what they say."""

    rank: str
    why: str
    against: str | None
    evidence: dict[str, dict[str, Any]]

    @property
    def description(self) -> str:
        """The decision and its evidence in a few lines."""
        return "\n".join([f"{self.rank}: {self.why}", *(f"{name}: {line(each)}" for name, each in self.evidence.items())])


def decide(
    ours: OutcomesByName, champion: OutcomesByName | None, version: str | None, margins: Mapping[str, float], margin: float
) -> Decision:
    """The candidate's rank against the champion ``version``; ``margins`` by benchmark, ``margin`` for those it does not name.

    champion: no worse on every benchmark and round the champion was measured on, and on the mean over them no loss, so that a
    row of small losses cannot add up unseen. challenger: worse on none, but not proven. candidate: worse, or not measured.
    """
    if champion is None:
        return Decision(CHAMPION, "there was no champion", None, {})
    found = differences(ours, champion)
    evidence = {name: _judged(each, margins.get(name.partition("/")[0], margin)) for name, each in found.items()}
    missing = sorted({f"{name}/round_{number}" for name, given in champion.items() for number in given["rounds"]} - found.keys())
    said = {verdict: [name for name, each in evidence.items() if each["says"] == verdict] for verdict in (WORSE, OPEN)}
    mean = sum(each.mean for each in found.values()) / max(len(found), 1)
    rank, why = CHAMPION, f"no benchmark is worse than champion version {version} by its margin"
    if said[WORSE]:
        rank, why = CANDIDATE, f"worse than champion version {version} on {', '.join(said[WORSE])}"
    elif missing:
        remedy = "measure the champion as the candidate was, and set its version's tag `report` to that artifact"
        rank, why = CANDIDATE, f"not measured under the protocol of champion version {version} on {', '.join(missing)}: {remedy}"
    elif said[OPEN]:
        lost = ", ".join(said[OPEN])
        rank, why = CHALLENGER, f"a loss beyond the margin to champion version {version} cannot be ruled out on {lost}"
    elif mean < 0:
        rank, why = CHALLENGER, f"within the margins of champion version {version}, but {mean:+.3f} on the mean over all"
    return Decision(rank, why, version, evidence)


def line(judged: Mapping[str, Any]) -> str:
    """``+0.012 [-0.010, +0.034], margin 0.025: no worse``."""
    return "{mean:+.3f} [{low:+.3f}, {high:+.3f}], margin {margin:g}: {says}".format(**judged)


def _judged(difference: Interval, margin: float) -> dict[str, Any]:
    says = NO_WORSE if difference.low >= -margin else WORSE if difference.high < -margin else OPEN
    return {**asdict(difference), "margin": margin, "says": says}
