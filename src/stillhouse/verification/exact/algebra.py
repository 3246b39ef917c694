"""Sums of products of rationals, square roots and letters, in normal form: two sums are equal if and only if their forms are."""

import math
from fractions import Fraction
from functools import lru_cache

Monomial = tuple[int, tuple[tuple[str, int], ...]]
"""A squarefree radicand, and the sorted letters with their powers: (2, (("x", 3),)) is √2·x³."""
Sum = dict[Monomial, Fraction]
"""Monomial -> coefficient; no coefficient is 0."""

LARGEST_RADICAND = 10**6
MOST_TERMS = 60


class Unsure(Exception):
    """The mathematics is beyond what this package decides."""


def constant(value: Fraction | int) -> Sum:
    """A number."""
    return {(1, ()): Fraction(value)} if value else {}


def letter(name: str) -> Sum:
    """A letter, or a name such as ``pi``."""
    return {(1, ((name, 1),)): Fraction(1)}


def root(value: int) -> Sum:
    """The square root of a whole number: √12 is 2·√3. Raises Unsure beyond LARGEST_RADICAND."""
    if not 0 < value <= LARGEST_RADICAND:
        raise Unsure
    outside, inside = _square_part(value)
    return {(inside, ()): Fraction(outside)}


@lru_cache(maxsize=4096)
def _square_part(value: int) -> tuple[int, int]:
    """(a, b) with value = a²·b and b squarefree."""
    outside, factor = 1, 2
    while factor * factor <= value:
        while value % (factor * factor) == 0:
            value //= factor * factor
            outside *= factor
        factor += 1
    return outside, value


def add(one: Sum, other: Sum, sign: int = 1) -> Sum:
    """``one + sign·other``. Raises Unsure for a sum of too many terms."""
    total = dict(one)
    for monomial, coefficient in other.items():
        total[monomial] = total.get(monomial, Fraction(0)) + sign * coefficient
    return _without_zeros(total)


def multiply(one: Sum, other: Sum) -> Sum:
    """The product, multiplied out. Raises Unsure for a product of too many terms."""
    product: Sum = {}
    for (radicand, letters), coefficient in one.items():
        for (radicand_2, letters_2), coefficient_2 in other.items():
            shared = math.gcd(radicand, radicand_2)
            monomial = (radicand * radicand_2 // shared**2, _merged(letters, letters_2))
            product[monomial] = product.get(monomial, Fraction(0)) + coefficient * coefficient_2 * shared
    return _without_zeros(product)


def power(base: Sum, exponent: int) -> Sum:
    """``base`` to a whole power."""
    result = constant(1)
    for _ in range(exponent):
        result = multiply(result, base)
    return result


def inverse(value: Sum) -> Sum:
    """1 over a rational multiple of a square root. Raises Unsure for any other divisor."""
    if len(value) != 1:
        raise Unsure
    ((radicand, letters), coefficient), *_ = value.items()
    if letters:
        raise Unsure
    return {(radicand, ()): 1 / (coefficient * radicand)}


def rational(value: Sum) -> Fraction | None:
    """The rational number it equals; None if it contains a root or a letter."""
    if any(monomial != (1, ()) for monomial in value):
        return None
    return value.get((1, ()), Fraction(0))


def letters(value: Sum) -> set[str]:
    """The letters and names in it."""
    return {name for _, names in value for name, _ in names}


def approximate(value: Sum) -> float:
    """Its value as a float; the sum must have no letters."""
    return sum(float(coefficient) * math.sqrt(radicand) for (radicand, _), coefficient in value.items())


def _merged(one: tuple[tuple[str, int], ...], other: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    powers = dict(one)
    for name, exponent in other:
        powers[name] = powers.get(name, 0) + exponent
    return tuple(sorted(powers.items()))


def _without_zeros(value: Sum) -> Sum:
    if len(value) > MOST_TERMS:
        raise Unsure
    return {monomial: coefficient for monomial, coefficient in value.items() if coefficient}
