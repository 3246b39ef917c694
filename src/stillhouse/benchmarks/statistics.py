"""Outcomes by question -> pass@1 and differences of it, each with a 95 % interval.

pass@1 is the mean over questions of the mean over each question's samples (DeepSeek-R1 report, "Evaluation Setup"). The intervals
are percentile bootstraps (Efron 1979) over questions, because a question's samples stand or fall together.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stillhouse.errors import BadRows, NothingToDo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

N_RESAMPLES = 4000
SEED = 0
BLOCK_VALUES = 1_000_000
"""Resampled values held in memory at once."""
Z = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""

Outcomes = Sequence[Sequence[bool]]
"""By question, then by sample; questions may have different numbers of samples."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its 95 % interval, ``low <= mean <= high``."""

    mean: float
    low: float
    high: float


def pass_at_1(outcomes: Outcomes) -> Interval:
    """pass@1 between 0 and 1, with an interval for questions of the same kind and new samples.

    The bootstrap draws questions, then samples inside each. Resampling both levels is on the safe side: with many samples to a
    question the interval is wider than needed, by at most a factor of √2 (Davison & Hinkley 1997, §3.8); with one sample it is
    the ordinary bootstrap. See ``_unseen`` for one question and for outcomes that are all alike. Raises NothingToDo without
    questions, BadRows for a question without samples.
    """
    import numpy as np

    rates, n_samples = _rates(outcomes), np.array([len(each) for each in outcomes])

    def draw(generator: "np.random.Generator", picked: "NDArray[np.intp]") -> "Floats":
        drawn: Floats = generator.binomial(n_samples[picked], rates[picked]) / n_samples[picked]
        return drawn

    return _bootstrap(rates, draw, floor=0.0)


def paired_difference(a: Outcomes, b: Outcomes) -> Interval:
    """pass@1 of ``a`` minus pass@1 of ``b`` on the same questions in the same order, between -1 and 1.

    The bootstrap draws questions and keeps each question's difference, so that what makes a question hard for both cancels. The
    numbers of samples may differ. Raises NothingToDo and BadRows as ``pass_at_1``, BadRows too for different numbers of questions.
    """
    if len(a) != len(b):
        msg = f"a paired difference needs the same questions on both sides, got {len(a)} and {len(b)}; keep those both have"
        raise BadRows(msg)
    differences = _rates(a) - _rates(b)
    return _bootstrap(differences, lambda _, picked: differences[picked], floor=-1.0)


def _rates(outcomes: Outcomes) -> "Floats":
    """The share of passed samples of each question."""
    import numpy as np

    if not outcomes:
        msg = "no questions to measure on, got an empty list; check the benchmark's filter and its responses"
        raise NothingToDo(msg)
    empty = [index for index, samples in enumerate(outcomes) if not len(samples)]
    if empty:
        msg = f"question {empty[0]} has no sample ({len(empty)} such of {len(outcomes)}); sample it, or leave it out on purpose"
        raise BadRows(msg)
    return np.array([sum(samples) / len(samples) for samples in outcomes])


def _bootstrap(values: "Floats", draw: Callable[[Any, Any], "Floats"], floor: float) -> Interval:
    """The mean of one value per question between ``floor`` and 1, and the percentiles of its resampled means."""
    import numpy as np

    mean = float(values.mean())
    means = np.concatenate(list(_resampled_means(len(values), draw)))
    low, high = (float(each) for each in np.quantile(means, [0.025, 0.975]))
    if len(values) == 1 or low == high:
        low, high = _unseen(mean, len(values), floor)
    return Interval(mean, min(low, mean), max(high, mean))


def _resampled_means(n_questions: int, draw: Callable[[Any, Any], "Floats"]) -> Iterator["Floats"]:
    import numpy as np

    generator = np.random.default_rng(SEED)
    block = max(1, min(N_RESAMPLES, BLOCK_VALUES // n_questions))
    for start in range(0, N_RESAMPLES, block):
        picked = generator.integers(0, n_questions, (min(block, N_RESAMPLES - start), n_questions))
        yield draw(generator, picked).mean(axis=1)


def _unseen(mean: float, n_questions: int, floor: float) -> tuple[float, float]:
    """The interval where resampling shows no spread: one question, or all questions alike.

    Of n questions none was of another kind, so by Wilson's bound (1927) for 0 of n at most z²/(n + z²) of all questions are; each
    of those could have any value from ``floor`` to 1. For 250 of 250 passed this is Wilson's interval itself: [0.985, 1].
    """
    share = Z**2 / (n_questions + Z**2)
    return mean - share * (mean - floor), mean + share * (1 - mean)
