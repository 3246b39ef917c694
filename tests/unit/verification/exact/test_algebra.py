from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.verification.exact import algebra
from stillhouse.verification.exact.algebra import Unsure

TERMS = st.one_of(
    st.fractions(max_denominator=50).map(algebra.constant),
    st.integers(1, 200).map(algebra.root),
    st.sampled_from("xyz").map(algebra.letter),
)
SUMS = st.lists(TERMS, max_size=4).map(lambda terms: sum_of(terms))


def sum_of(terms):
    made = {}
    for term in terms:
        made = algebra.add(made, term)
    return made


@given(SUMS, SUMS, SUMS)
def test_algebra_keeps_the_laws_of_sums_and_products(one, two, three):
    assert algebra.multiply(one, two) == algebra.multiply(two, one)
    both = algebra.add(algebra.multiply(one, two), algebra.multiply(one, three))
    assert algebra.multiply(one, algebra.add(two, three)) == both
    assert algebra.add(one, one, -1) == {}


@given(st.integers(1, 10**6), st.integers(1, 30))
def test_root_squared_is_its_radicand_and_its_inverse_undoes_it(radicand, factor):
    value = algebra.multiply(algebra.constant(factor), algebra.root(radicand))
    assert algebra.rational(algebra.power(algebra.root(radicand), 2)) == radicand
    assert algebra.rational(algebra.multiply(value, algebra.inverse(value))) == 1
    assert algebra.approximate(value) == pytest.approx(factor * radicand**0.5)


def test_root_of_a_multiple_of_a_square_is_written_with_the_smaller_radicand():
    assert algebra.root(12) == algebra.multiply(algebra.constant(2), algebra.root(3))


@pytest.mark.parametrize("value", [algebra.letter("x"), algebra.add(algebra.constant(1), algebra.root(2)), {}])
def test_inverse_of_anything_but_a_multiple_of_a_root_is_left_alone(value):
    with pytest.raises(Unsure):
        algebra.inverse(value)


@pytest.mark.parametrize("radicand", [0, -4, 10**6 + 1])
def test_root_outside_of_its_range_is_left_alone(radicand):
    with pytest.raises(Unsure):
        algebra.root(radicand)


def test_product_of_very_many_terms_is_left_alone():
    wide = sum_of([algebra.power(algebra.letter(name), n) for name in "xyzuvw" for n in range(1, 6)])
    with pytest.raises(Unsure):
        algebra.multiply(wide, wide)


def test_rational_is_none_where_a_root_or_a_letter_is_left():
    assert algebra.rational(algebra.constant(Fraction(1, 3))) == Fraction(1, 3)
    assert algebra.rational({}) == 0
    assert algebra.rational(algebra.root(2)) is None
