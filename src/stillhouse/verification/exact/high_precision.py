"""Numbers that are held exactly while they are rational, else in 60 digits; every step is bounded."""

import math
from contextvars import ContextVar
from fractions import Fraction
from typing import Any, TypeAlias

from mpmath import mp, mpc, mpf

from stillhouse.verification.exact.lexing import Unreasonable

DIGITS = 60
LARGEST_BITS = 60_000
"""Bits of a number that is held exactly: 2004! has 19,000."""
MOST_BITS = 4_000_000
"""Bits of all numbers that one evaluation goes through: what bounds its time."""
LARGEST_EXPONENT_OF_E = 10**6
"""Of powers that are not held exactly."""
CANCELLED = mpf(10) ** -52
"""A sum this small relative to its terms is 0."""

Number: TypeAlias = Any
"""A Fraction, or a complex number of mpmath in 60 digits."""


class Undefined(Exception):
    """The expression has no value here: a division by zero, or a logarithm of it."""


_spent: ContextVar[int] = ContextVar("bits_of_an_evaluation", default=0)


def bounded(number: Fraction) -> Fraction:
    """The number. Raises Unreasonable if it, or all of this evaluation together, has too many bits."""
    bits = _bits(number)
    _spent.set(_spent.get() + bits)
    if bits > LARGEST_BITS or _spent.get() > MOST_BITS:
        msg = f"a number of over {LARGEST_BITS:,} bits, or too many of them"
        raise Unreasonable(msg)
    return number


def approximate(number: Number) -> mpc:
    """A number in 60 digits."""
    if isinstance(number, mpc):
        return number
    with mp.workdps(DIGITS):
        return mpc(mpf(number.numerator) / mpf(number.denominator))


def added(left: Number, right: Number) -> Number:
    """The sum; 0 for what is left of terms that cancel."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return bounded(left + right)
    one, other = approximate(left), approximate(right)
    total = one + other
    if abs(total) <= CANCELLED * max(abs(one), abs(other)):
        return Fraction(0)
    return total


def multiplied(left: Number, right: Number) -> Number:
    """The product."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return bounded(left * right)
    return approximate(left) * approximate(right)


def quotient(left: Number, right: Number) -> Number:
    """The quotient. Raises Undefined for a division by zero."""
    if not right:
        msg = "a division by zero"
        raise Undefined(msg)
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return bounded(left / right)
    return approximate(left) / approximate(right)


def raised(base: Number, exponent: Number) -> Number:
    """The power. Raises Undefined for 0 to a negative power, Unreasonable beyond the bounds."""
    if not base:
        return _power_of_zero(exponent)
    if isinstance(exponent, Fraction) and isinstance(base, Fraction):
        if exponent.denominator == 1:
            if abs(exponent) * _bits(base) > LARGEST_BITS and abs(base) != 1:
                msg = "a power beyond every use"
                raise Unreasonable(msg)
            return bounded(base ** int(exponent))
        if (root := _exact_root(base, exponent)) is not None:
            return root
    one, other = approximate(base), approximate(exponent)
    if abs(other * mp.log(one)) > LARGEST_EXPONENT_OF_E:
        msg = "a power beyond every use"
        raise Unreasonable(msg)
    return one**other


def _power_of_zero(exponent: Number) -> Number:
    if not exponent:
        return Fraction(1)
    if approximate(exponent).real <= 0:
        msg = "a division by zero"
        raise Undefined(msg)
    return Fraction(0)


def _exact_root(base: Fraction, exponent: Fraction) -> Fraction | None:
    """A square root that is rational; None for other powers."""
    if exponent.denominator != 2 or base < 0 or _bits(base) * abs(exponent.numerator) > LARGEST_BITS:
        return None
    top, bottom = math.isqrt(base.numerator), math.isqrt(base.denominator)
    if top * top != base.numerator or bottom * bottom != base.denominator:
        return None
    return Fraction(top, bottom) ** exponent.numerator


def _bits(number: Fraction) -> int:
    return max(number.numerator.bit_length(), number.denominator.bit_length())


def divided(left: Number, right: Number) -> Number:
    """The quotient of two values in 60 digits. Raises Undefined for a division by zero."""
    with mp.workdps(DIGITS):
        return quotient(left, right)


def start() -> None:
    """Begin an evaluation: its numbers count from here."""
    _spent.set(0)


def snapped(result: mpc) -> Number:
    """Zero for what is nothing but rounding: the sine of π is 0."""
    real = mpf(0) if abs(result.real) < CANCELLED else result.real
    imaginary = mpf(0) if abs(result.imag) < CANCELLED else result.imag
    return mpc(real, imaginary) if real or imaginary else Fraction(0)
