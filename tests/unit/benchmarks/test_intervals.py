import itertools

import numpy as np
import pytest

from stillhouse.benchmarks import intervals
from stillhouse.benchmarks.intervals import Interval, paired_difference, pass_at_1, pass_at_k
from stillhouse.errors import BadRows, NothingToDo


def outcomes(generator: np.random.Generator, rates: np.ndarray, n_samples: int) -> list[list[bool]]:
    return (generator.random((len(rates), n_samples)) < rates[:, None]).tolist()


def test_pass_at_1_ragged_samples_weighs_questions_equally():
    assert pass_at_1([[True], [False, False, False, True]]).mean == pytest.approx((1 + 0.25) / 2)


def test_pass_at_1_same_outcomes_same_interval():
    sampled = outcomes(np.random.default_rng(1), np.linspace(0, 1, 40), 3)
    assert pass_at_1(sampled) == pass_at_1(sampled)


REALISTIC = [
    pytest.param(30, 32, 0.6, 0.2, id="AIME, 32 samples, 75 %"),
    pytest.param(30, 16, 0.5, 0.6, id="AIME, 16 samples, 45 %"),
    pytest.param(198, 8, 1.0, 0.55, id="GPQA-Diamond, 8 samples, 65 %"),
    pytest.param(270, 4, 0.3, 1.2, id="LiveCodeBench, 4 samples, 20 %"),
    pytest.param(250, 4, 2.0, 2.0, id="arithmetic, 4 samples, 50 %"),
    pytest.param(500, 1, 2.0, 0.3, id="MATH-500, greedy, 87 %"),
]
"""Questions, samples, and the Beta distribution that the questions' pass rates come from."""


@pytest.mark.parametrize(("n_questions", "n_samples", "a", "b"), REALISTIC)
def test_pass_at_1_simulated_questions_interval_covers_the_truth(monkeypatch, n_questions, n_samples, a, b):
    monkeypatch.setattr(intervals, "N_RESAMPLES", 1000)
    generator = np.random.default_rng(7)
    trials, covered = 800, 0
    for _ in range(trials):
        interval = pass_at_1(outcomes(generator, generator.beta(a, b, n_questions), n_samples))
        covered += interval.low <= a / (a + b) <= interval.high
    assert 0.93 <= covered / trials <= 0.97


@pytest.mark.parametrize(("n_questions", "n_samples"), [(30, 16), (250, 4)])
def test_paired_difference_simulated_questions_interval_covers_the_truth(monkeypatch, n_questions, n_samples):
    monkeypatch.setattr(intervals, "N_RESAMPLES", 1000)
    generator = np.random.default_rng(11)
    trials, covered = 800, 0
    for _ in range(trials):
        base = generator.beta(2, 3, n_questions) * 0.8
        better = outcomes(generator, base + 0.2 * generator.random(n_questions), n_samples)
        interval = paired_difference(better, outcomes(generator, base, n_samples))
        covered += interval.low <= 0.1 <= interval.high
    assert 0.93 <= covered / trials <= 0.97


def test_pass_at_1_few_questions_interval_is_wider_than_the_plain_percentiles():
    assert intervals._tail(30) == pytest.approx(0.0188, abs=2e-4)
    assert intervals._tail(5000) == pytest.approx(0.025, abs=1e-4)


@pytest.mark.parametrize(("freedom", "quantile"), [(5, 2.5706), (10, 2.2281), (29, 2.0452), (249, 1.9695)])
def test_student_quantile_is_the_tabulated_one(freedom, quantile):
    assert intervals._student(freedom) == pytest.approx(quantile, abs=5e-3)


def brute_pass_at_k(samples, k):
    """The share of all choices of k samples in which one passes."""
    chosen = list(itertools.combinations(samples, k))
    return sum(any(each) for each in chosen) / len(chosen)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_pass_at_k_is_the_mean_over_all_choices_of_k_samples(k):
    sampled = [[True, False, False, False, False], [False] * 5, [True] * 5, [True, True, False, False]]
    expected = sum(brute_pass_at_k(each, k) for each in sampled) / 4
    assert pass_at_k(sampled, k).mean == pytest.approx(expected)


def test_pass_at_k_of_one_is_pass_at_1():
    sampled = outcomes(np.random.default_rng(2), np.linspace(0, 1, 40), 4)
    of_k, of_1 = pass_at_k(sampled, 1), pass_at_1(sampled)
    assert (of_k.mean, of_k.low, of_k.high) == pytest.approx((of_1.mean, of_1.low, of_1.high))


def test_pass_at_k_needs_k_samples():
    with pytest.raises(BadRows, match=r"pass@3 needs 3 samples of each question, question 1 has 2"):
        pass_at_k([[True] * 3, [True] * 2], 3)


def test_pass_at_1_one_sample_each_width_is_that_of_the_binomial():
    interval = pass_at_1([[index < 120] for index in range(400)])
    width = 2 * 1.96 * (0.3 * 0.7 / 400) ** 0.5
    assert interval.high - interval.low == pytest.approx(width, rel=0.06)


def test_pass_at_1_flipped_outcomes_interval_is_mirrored():
    sampled = outcomes(np.random.default_rng(3), np.full(80, 0.3), 2)
    interval, mirrored = pass_at_1(sampled), pass_at_1([[not each for each in samples] for samples in sampled])
    assert mirrored.mean == pytest.approx(1 - interval.mean)
    assert mirrored.low == pytest.approx(1 - interval.high, abs=0.02)
    assert mirrored.high == pytest.approx(1 - interval.low, abs=0.02)


@pytest.mark.parametrize(("passed", "low", "high"), [(True, 0.98487, 1.0), (False, 0.0, 0.01513)])
def test_pass_at_1_all_alike_falls_back_to_wilson(passed, low, high):
    interval = pass_at_1([[passed]] * 250)
    assert interval == Interval(float(passed), pytest.approx(low, abs=1e-5), pytest.approx(high, abs=1e-5))


def test_pass_at_1_all_alike_more_samples_do_not_narrow():
    assert pass_at_1([[True] * 16] * 10) == pass_at_1([[True]] * 10)


def test_pass_at_1_one_question_interval_is_wide_and_inside_the_unit():
    interval = pass_at_1([[True, True, True, False]])
    assert 0 < interval.low < 0.2
    assert 0.9 < interval.high < 1


def test_pass_at_1_no_questions_is_refused():
    with pytest.raises(NothingToDo, match="no questions"):
        pass_at_1([])


def test_pass_at_1_question_without_samples_is_named():
    with pytest.raises(BadRows, match=r"question 1 has no sample \(1 of 2 have none\)"):
        pass_at_1([[True], []])


def test_paired_difference_swapped_is_the_negative():
    generator = np.random.default_rng(5)
    a, b = outcomes(generator, np.full(60, 0.7), 2), outcomes(generator, np.full(60, 0.5), 4)
    there, back = paired_difference(a, b), paired_difference(b, a)
    assert (back.mean, back.low, back.high) == pytest.approx((-there.mean, -there.high, -there.low))


def test_paired_difference_hard_and_easy_questions_is_narrower_than_unpaired():
    rates = np.repeat([0.0, 1.0], 50)
    a = [[bool(rate) or index == 0] for index, rate in enumerate(rates)]
    b = [[bool(rate)] for rate in rates]
    paired, alone = paired_difference(a, b), pass_at_1(a)
    assert paired.mean == pytest.approx(0.01)
    assert (paired.high - paired.low) < 0.25 * (alone.high - alone.low)


def test_paired_difference_identical_outcomes_has_width():
    interval = paired_difference([[True], [False]] * 125, [[True], [False]] * 125)
    assert interval == Interval(0.0, pytest.approx(-0.01513, abs=1e-5), pytest.approx(0.01513, abs=1e-5))


def test_paired_difference_other_number_of_questions_is_refused():
    with pytest.raises(BadRows, match="got 2 and 1"):
        paired_difference([[True], [True]], [[True]])
