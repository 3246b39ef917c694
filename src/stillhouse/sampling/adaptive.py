"""When a question has been sampled enough: once the remaining samples would hardly change what its pass rate says.

Grading distinguishes three classes of pass rates: never, at times, always. Levels, keep-or-drop and, for scores of 0 and 1, the
coefficient of variation depend on nothing else; a config may name further boundaries. After one pass and one failure the class
"at times" is certain; after passes alone, a beta-binomial predicts the remaining samples.
"""

import math
from functools import cache

from stillhouse.sampling.config import Prior


def decided(passes: int, failures: int, left: int, prior: Prior, confidence: float, boundaries: tuple[float, ...] = ()) -> bool:
    """Whether the present grade will stay, with this confidence, if ``left`` more samples are drawn."""
    n_known = passes + failures
    if not n_known:
        return left == 0
    present_class = grade_class(passes, n_known, boundaries)
    p_same = sum(
        probability
        for more, probability in enumerate(further_passes(passes, failures, left, prior))
        if grade_class(passes + more, n_known + left, boundaries) == present_class
    )
    return p_same >= confidence


def grade_class(passes: int, n_known: int, boundaries: tuple[float, ...] = ()) -> int:
    """0 for never, the highest number for always, and between them one number for each interval of the pass rate."""
    if passes == 0:
        return 0
    if passes == n_known:
        return len(boundaries) + 2
    return 1 + sum(passes / n_known >= boundary for boundary in boundaries)


@cache
def further_passes(passes: int, failures: int, left: int, prior: Prior) -> tuple[float, ...]:
    """The probabilities of 0, 1, … ``left`` passes among the remaining samples: beta-binomial, given the known verdicts."""
    a, b = prior[0] + passes, prior[1] + failures
    return tuple(
        math.comb(left, more) * math.exp(_log_beta(a + more, b + left - more) - _log_beta(a, b)) for more in range(left + 1)
    )


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
