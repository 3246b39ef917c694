import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stillhouse.sampling.adaptive import decided, further_passes, grade_class
from stillhouse.sampling.config import Adaptive

counts = st.integers(0, 12)
priors = st.tuples(st.floats(0.05, 5), st.floats(0.05, 5))


@given(counts, counts, counts, priors)
def test_further_passes_are_a_distribution_with_the_mean_of_the_posterior(passes, failures, left, prior):
    found = further_passes(passes, failures, left, prior)
    assert math.isclose(sum(found), 1, rel_tol=1e-9)
    mean = sum(more * probability for more, probability in enumerate(found))
    assert math.isclose(mean, left * (prior[0] + passes) / (sum(prior) + passes + failures), rel_tol=1e-9, abs_tol=1e-9)


def test_further_passes_of_one_sample_after_two_passes_by_hand():
    # Beta(1, 1) after two passes: the next one passes with probability 3/4 (Laplace's rule of succession).
    assert further_passes(2, 0, 1, (1.0, 1.0)) == pytest.approx((1 / 4, 3 / 4))


@pytest.mark.parametrize(
    ("passes", "known", "boundaries", "expected"),
    [(0, 4, (), 0), (4, 4, (), 2), (1, 4, (), 1), (1, 4, (0.5,), 1), (2, 4, (0.5,), 2), (4, 4, (0.5,), 3)],
)
def test_grade_class_tells_never_at_times_and_always_apart(passes, known, boundaries, expected):
    assert grade_class(passes, known, boundaries) == expected


def test_decided_after_one_of_each_is_certain_without_boundaries_and_not_with_one():
    assert decided(1, 1, 14, (0.3, 0.3), 0.999)
    assert not decided(1, 1, 14, (0.3, 0.3), 0.9, (0.5,))


@given(counts, counts, counts, priors)
def test_decided_with_more_confidence_never_stops_earlier(passes, failures, left, prior):
    if decided(passes, failures, left, prior, 0.99):
        assert decided(passes, failures, left, prior, 0.9)


def test_decided_passes_alone_need_more_samples_the_more_often_a_model_fails():
    def needed(prior):
        return next(n for n in range(1, 17) if decided(n, 0, 16 - n, prior, 0.95))

    assert needed((1.0, 0.02)) < needed((1.0, 0.1)) < needed((1.0, 1.0)) <= 16


def test_decided_without_a_verdict_only_when_nothing_is_left():
    assert not decided(0, 0, 4, (0.3, 0.3), 0.9)
    assert decided(0, 0, 0, (0.3, 0.3), 0.9)


@pytest.mark.parametrize("changes", [{"confidence": 1}, {"confidence": 0.4}, {"step": 0}, {"priors": {"maths": (1, 1)}}])
def test_adaptive_out_of_bounds_is_refused(changes):
    with pytest.raises(ValidationError, match=next(iter(changes))):
        Adaptive(**changes)


def test_prior_of_a_category_without_one_is_the_other():
    given = Adaptive(priors={"math": (1, 2)}, other_prior=(3, 4))
    assert (given.prior("math"), given.prior("other")) == ((1, 2), (3, 4))
