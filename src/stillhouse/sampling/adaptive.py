"""When a question has been sampled enough: once what its pass rate says of it would hardly change with the samples left.

A pass rate is read as one of the classes that grading tells apart: never, at times, always (levels, keep-or-drop and, for scores
of 0 and 1, the coefficient of variation depend on no more), and on which side of a further boundary where one is named. After one
pass and one failure "at times" is certain; after passes alone, the samples left are expected to fall as a beta-binomial says.
"""

import math
from functools import cache

from pydantic import Field

from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.settings import StageConfig

Prior = tuple[float, float]


class Adaptive(StageConfig):
    """When sampling a question stops early."""

    confidence: float = Field(0.98, gt=0.5, lt=1)
    """Probability, at least, that all samples would have given the same grade."""
    step: int = Field(1, ge=1)
    """Samples to a question between two looks at its verdicts; fewer save more, more keep a GPU busier."""
    boundaries: tuple[float, ...] = ()
    """Further pass rates in (0, 1) at which the grade changes: ``[0.5]`` for the model in grading's role `reference`."""
    priors: dict[Category, Prior] = Field(
        default={"math": (0.36, 0.05), "code": (0.15, 0.06), "science": (0.69, 0.18), "instruction_following": (0.18, 0.09)}
    )
    """Beta distribution of pass rates by category: how often the model passes before it is asked. The default is fitted to
    DeepSeek-R1 (DeepDistill, Fig. 8); weaker models need priors of their own."""
    other_prior: Prior = (0.35, 0.35)
    """The same for categories that are not named."""

    def prior(self, category: str) -> Prior:
        """The category's prior."""
        return self.priors.get(category, self.other_prior)  # type: ignore[call-overload,no-any-return]


def decided(passes: int, failures: int, left: int, prior: Prior, confidence: float, boundaries: tuple[float, ...] = ()) -> bool:
    """Whether the grade that so many passes and failures give will stay, with this confidence, if ``left`` more are sampled."""
    known = passes + failures
    if not known:
        return left == 0
    now = grade_class(passes, known, boundaries)
    same = sum(
        probability
        for more, probability in enumerate(further_passes(passes, failures, left, prior))
        if grade_class(passes + more, known + left, boundaries) == now
    )
    return same >= confidence


def grade_class(passes: int, known: int, boundaries: tuple[float, ...] = ()) -> int:
    """0 for never, the highest for always, and between them one for each interval of the pass rate."""
    if passes == 0:
        return 0
    if passes == known:
        return len(boundaries) + 2
    return 1 + sum(passes / known >= boundary for boundary in boundaries)


@cache
def further_passes(passes: int, failures: int, left: int, prior: Prior) -> tuple[float, ...]:
    """The probability of 0, 1, … ``left`` passes among the samples left: beta-binomial after what was seen."""
    a, b = prior[0] + passes, prior[1] + failures
    return tuple(
        math.comb(left, more) * math.exp(_log_beta(a + more, b + left - more) - _log_beta(a, b)) for more in range(left + 1)
    )


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
