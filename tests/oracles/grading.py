"""The formulas of grading for one question, by scalar: what the columnar ones in ``stillhouse.grading`` must come to."""

import statistics
from collections.abc import Mapping, Sequence

from stillhouse.grading.config import PassRateKind
from stillhouse.grading.levels import SOLVED_FROM
from stillhouse.grading.tally import BINS
from stillhouse.vocabulary.rows import ModelGrade
from stillhouse.vocabulary.statistics import wilson_interval


def pass_rate(scores: Sequence[float], threshold: float, kind: PassRateKind = "indicator", top: float = 1.0) -> float:
    """The share of scores above the threshold (DeepDistill §2.4.2), or the mean score over the scale's top (its card)."""
    if kind == "mean_score":
        return sum(scores) / len(scores) / top
    return sum(score > threshold for score in scores) / len(scores)


def coefficient_of_variation(scores: Sequence[float], ddof: int = 1) -> float | None:
    """σ/μ of the scores of one question (DeepDistill §3, Eq. 6); None for a mean of 0, or at most ``ddof`` scores."""
    n = len(scores)
    if n <= ddof:
        return None
    mean = statistics.fmean(scores)
    if mean == 0:
        return None
    # The sum of squares of the library is one of fractions: exact.
    return (statistics.pvariance(scores) * n / (n - ddof)) ** 0.5 / mean


def histogram(rates: Sequence[float]) -> dict[str, int]:
    """How many pass rates lie nearest to each of BINS; 0 and 1 hold exactly those that are 0 and 1."""
    bins = [round(rate) * 4 if rate in (0, 1) else min(3, max(1, int(rate * 4 + 0.5))) for rate in rates]
    return {name: bins.count(index) for index, name in enumerate(BINS)}


def grade(model: str, scores: Sequence[float], threshold: float, ddof: int, kind: PassRateKind, top: float) -> ModelGrade:
    """One model's results on one question, by the scores of its responses; at least one."""
    rate = pass_rate(scores, threshold, kind, top)
    low, high = wilson_interval(rate, len(scores))
    return ModelGrade(
        model=model, n=len(scores), pass_rate=rate, mean_score=sum(scores) / len(scores),
        cv=coefficient_of_variation(scores, ddof), low=low, high=high,
    )  # fmt: skip


def level(rates: Mapping[str, float | None], keep_solved: bool) -> int | None:
    """The difficulty level 1, 2 or 3 by the pass rates of ``small``, ``medium``, ``reference`` (Staged RL §3.2.1).

    The rules in order: see ``stillhouse.grading.levels.level_of``.
    """
    small, medium, reference = (rates.get(role) for role in ("small", "medium", "reference"))
    if reference == 0:
        return 3
    if small is None or medium is None:
        return None
    if medium > 0 and ((small == 0) or (0 < small < 1 and medium < 1)):
        return 2
    if 0 < small < 1:
        return 1
    if small == 0 and reference is not None and (reference < SOLVED_FROM or keep_solved):
        return 3
    return None
