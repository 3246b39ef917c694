"""Outcomes by question -> pass@1, pass@k and differences of pass@1, each with a 95 % interval.

pass@1 is the mean over questions of the mean over each question's samples (DeepSeek-R1 report, "Evaluation Setup"). The intervals
are bootstraps (Efron 1979) over questions: a question is drawn with all its samples, because they are not independent. The
variance between drawn questions thus includes both the questions' and their samples'. The percentiles are Hesterberg's "expanded
percentiles" (2015, §5.3): plain percentiles are too narrow, by √((n-1)/n) and by using the normal quantile instead of Student's,
which matters at AIME's 30 questions.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from stillhouse.errors import BadRows, NothingToDo
from stillhouse.vocabulary.statistics import Z

N_RESAMPLES = 4000
SEED = 0
BLOCK_VALUES = 1_000_000
"""Resampled values held in memory at once."""

Outcomes = Sequence[Sequence[bool]]
"""By question, then by sample: whether it passed. Questions may have different numbers of samples."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its 95 % interval, ``low <= mean <= high``."""

    mean: float
    low: float
    high: float


def pass_at_1(outcomes: Outcomes) -> Interval:
    """pass@1 between 0 and 1, with an interval for new questions of the same kind and new samples.

    For one question, and for questions that all have the same pass rate, see ``_without_spread``. Raises NothingToDo without
    questions, BadRows for a question without samples.
    """
    return _bootstrap(_rates(outcomes), floor=0.0)


def pass_at_k(outcomes: Outcomes, k: int) -> Interval:
    """An unbiased estimate of the chance that at least one of ``k`` samples passes.

    For a question with c of n samples passed it is 1 - C(n-c, k) / C(n, k) (Chen et al. 2021, eq. 1). Raises NothingToDo without
    questions, BadRows for a question with fewer than ``k`` samples.
    """
    _rates(outcomes)
    short = [index for index, samples in enumerate(outcomes) if len(samples) < k]
    if short:
        msg = f"pass@{k} needs {k} samples of each question, question {short[0]} has {len(outcomes[short[0]])}; lower k"
        raise BadRows(msg)
    failing = [(len(samples) - sum(samples), len(samples)) for samples in outcomes]
    return _bootstrap(np.array([1 - math.comb(failed, k) / math.comb(n, k) for failed, n in failing]), floor=0.0)


def paired_difference(a: Outcomes, b: Outcomes) -> Interval:
    """pass@1 of ``a`` minus pass@1 of ``b`` on the same questions in the same order, between -1 and 1.

    The bootstrap draws questions with their differences, so that a question's difficulty, which both share, cancels out. The
    numbers of samples may differ. Raises NothingToDo and BadRows as ``pass_at_1`` does, and BadRows for different numbers of
    questions.
    """
    if len(a) != len(b):
        msg = f"a paired difference needs the same questions on both sides, got {len(a)} and {len(b)}; keep the shared ones"
        raise BadRows(msg)
    return _bootstrap(_rates(a) - _rates(b), floor=-1.0)


def _rates(outcomes: Outcomes) -> npt.NDArray[np.float64]:
    """The share of passed samples by question, shape (n_questions,)."""
    if not outcomes:
        msg = "no questions to measure on, got an empty list; check the benchmark's filter and its responses"
        raise NothingToDo(msg)
    empty = [index for index, samples in enumerate(outcomes) if not len(samples)]
    if empty:
        msg = (
            f"question {empty[0]} has no sample ({len(empty)} of {len(outcomes)} have none); sample it, or leave it out on purpose"
        )
        raise BadRows(msg)
    return np.array([sum(samples) / len(samples) for samples in outcomes])


def _bootstrap(values: npt.NDArray[np.float64], floor: float) -> Interval:
    """The mean of ``values``, shape (n_questions,), each between ``floor`` and 1, and the percentiles of its resampled means."""
    mean, n = float(values.mean()), len(values)
    if n == 1 or not np.ptp(values):
        low, high = _without_spread(mean, n, floor)
    else:
        tail = _tail(n)
        low, high = (float(bound) for bound in np.quantile(np.concatenate(list(_resampled_means(values))), [tail, 1 - tail]))
    return Interval(mean, min(low, mean), max(high, mean))


def _resampled_means(values: npt.NDArray[np.float64]) -> Iterator[npt.NDArray[np.float64]]:
    """``N_RESAMPLES`` means in blocks of shape (block,), so that no more than ``BLOCK_VALUES`` values are held at once."""
    generator = np.random.default_rng(SEED)
    block = max(1, min(N_RESAMPLES, BLOCK_VALUES // len(values)))
    for start in range(0, N_RESAMPLES, block):
        picked = generator.integers(0, len(values), (min(block, N_RESAMPLES - start), len(values)))
        yield values[picked].mean(axis=1)


def _tail(n_questions: int) -> float:
    """The share of resampled means to cut off on each side: 0.025 for many questions, less for few (0.0188 for 30)."""
    return NormalDist().cdf(-_student(n_questions - 1) * math.sqrt(n_questions / (n_questions - 1)))


def _student(freedom: int) -> float:
    """Two-sided 95 % quantile of Student's distribution: correct to three digits from 5 degrees of freedom, too small below.

    Expansion in 1/freedom: Abramowitz & Stegun 26.7.5.
    """
    terms = (Z, (Z**3 + Z) / 4, (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96, (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384)
    return float(sum(term / freedom**power for power, term in enumerate(terms)))


def _without_spread(mean: float, n_questions: int, floor: float) -> tuple[float, float]:
    """The interval if resampling shows no spread: one question, or all questions with the same value.

    None of n questions differed from the others, so by Wilson's bound (1927) for 0 of n, at most a share z²/(n + z²) of all
    questions would differ; each of those could have any value from ``floor`` to 1. For 250 of 250 passed this is Wilson's own
    interval, [0.985, 1].
    """
    share = Z**2 / (n_questions + Z**2)
    return mean - share * (mean - floor), mean + share * (1 - mean)
