"""Verdicts -> difficulty: pass rates with intervals, spread of scores, levels. Pure functions."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from stillhouse.vocabulary.rows import ModelGrade
from stillhouse.vocabulary.settings import StageConfig

SCALES = {"science": 5.0}
"""Top of a category's verify_score; 1 where none is named (DeepDistill §2.4.1)."""
Z = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""
SOLVED_FROM = 0.5
"""Pass rate from which the reference model counts as solving a question it also fails at times. Ours: the paper is silent."""

FLAT = 1e-6
"""A CV below this is 0: what is left of equal scores after rounding."""

BINS = ("0", "0.25", "0.5", "0.75", "1")
"""Bins of pass rates: the values that four responses can give (DeepDistill, Fig. 8)."""

PassRateKind = Literal["indicator", "mean_score"]


class PassThresholds(StageConfig):
    """A response passes if its verify_score is greater, strictly (DeepDistill §2.4.2)."""

    math: float = 0.99
    """On 0 to 1."""
    code: float = 0.99
    """On 0 to 1."""
    instruction_following: float = 0.99
    """On 0 to 1."""
    science: float = 4.99
    """On 0 to 5."""
    multi_turn: float = 0.7
    """On 0 to 1."""
    other: float = 0.7
    """On 0 to 1."""


class CvThresholds(StageConfig):
    """Questions whose scores vary more are challenging. DeepDistill: 0.05 in v1 and v2, by category and unnamed in v3."""

    math: float = Field(default=0.05, ge=0)
    """CV above which a math question is challenging."""
    code: float = Field(default=0.05, ge=0)
    """CV above which a code question is challenging."""
    instruction_following: float = Field(default=0.05, ge=0)
    """CV above which an instruction-following question is challenging."""
    science: float = Field(default=0.05, ge=0)
    """CV above which a science question is challenging."""
    multi_turn: float = Field(default=0.05, ge=0)
    """CV above which a multi-turn question is challenging."""
    other: float = Field(default=0.05, ge=0)
    """CV above which any other question is challenging."""


class SolvedShares(StageConfig):
    """Share of questions the reference solves that stay in level 3 (Staged RL §3.2.1)."""

    math: float = Field(default=0.5, ge=0, le=1)
    """Of math questions."""
    code: float = Field(default=0.1, ge=0, le=1)
    """Of code questions."""
    other: float = Field(default=0.5, ge=0, le=1)
    """Of all other questions; the paper grades math and code alone."""


def scale(category: str) -> float:
    """Top of the category's verify_score."""
    return SCALES.get(category, 1.0)


def pass_rate(scores: Sequence[float], threshold: float, kind: PassRateKind = "indicator", top: float = 1.0) -> float:
    """The share of scores above the threshold (DeepDistill §2.4.2), or the mean score over the scale's top (its card)."""
    if kind == "mean_score":
        return sum(scores) / len(scores) / top
    return sum(score > threshold for score in scores) / len(scores)


def coefficient_of_variation(scores: Sequence[float], ddof: int = 1) -> float | None:
    """σ/μ of the scores of one question (DeepDistill §3, Eq. 6).

    ``ddof=0`` is the printed formula, ``ddof=1`` gives the paper's worked examples. None where it is undefined: a mean of 0, or not
    more than ``ddof`` scores.
    """
    n = len(scores)
    if n <= ddof:
        return None
    mean = sum(scores) / n
    if mean == 0:
        return None
    spread = math.sqrt(sum((score - mean) ** 2 for score in scores) / (n - ddof)) / mean
    return 0.0 if abs(spread) < FLAT else spread


def wilson_interval(rate: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share ``rate`` of ``n`` (Wilson 1927). Without samples nothing is known: (0, 1)."""
    if n == 0:
        return 0.0, 1.0
    centre = (rate + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2))
    return max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half))


def histogram(rates: Sequence[float]) -> dict[str, int]:
    """How many pass rates lie nearest to each of BINS; 0 and 1 hold exactly those that are 0 and 1."""
    places = [round(rate) * 4 if rate in (0, 1) else min(3, max(1, int(rate * 4 + 0.5))) for rate in rates]
    return {name: places.count(place) for place, name in enumerate(BINS)}


def grade(model: str, scores: Sequence[float], threshold: float, ddof: int, kind: PassRateKind, top: float) -> ModelGrade:
    """How one model did on one question, by the scores of its responses; at least one."""
    rate = pass_rate(scores, threshold, kind, top)
    low, high = wilson_interval(rate, len(scores))
    return ModelGrade(
        model=model, n=len(scores), pass_rate=rate, mean_score=sum(scores) / len(scores),
        cv=coefficient_of_variation(scores, ddof), low=low, high=high,
    )  # fmt: skip


def level(rates: Mapping[str, float | None], keep_solved: bool) -> int | None:
    """The difficulty level 1, 2 or 3, None for a question outside all of them (Staged RL §3.2.1).

    ``rates``: pass rate by role ``small``, ``medium``, ``reference``; None or left out where unknown. ``keep_solved``: the seeded
    draw that keeps part of what the reference solves. The paper's rules overlap and have gaps; ours, in this order:

    - 3 if the reference fails every time;
    - 2 by the paper's three clauses: small fails and medium solves always or at times, or both solve it at times;
    - 1 if small solves it at times (and medium always or never);
    - 3 if small and medium fail: always where the reference's pass rate is below one half, else as ``keep_solved`` says.
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
