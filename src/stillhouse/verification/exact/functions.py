"""The functions of formulas, by name."""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from mpmath import mp, mpc

from stillhouse.verification.exact.high_precision import (
    Number,
    Undefined,
    approximate,
    bounded,
    multiplied,
    quotient,
    raised,
    snapped,
)  # fmt: skip
from stillhouse.verification.exact.lexing import Unreasonable

LARGEST_FACTORIAL = 5_000
LARGEST_ARGUMENT = 10**6
"""Of functions such as tan and exp: beyond it, 60 digits hold nothing of the angle."""


def called(name: str, arguments: list[Number]) -> Number | None:
    """The value of a function; None for one without a rule."""
    if name in _EXACT:
        return _EXACT[name](*arguments)
    if name not in _COMPLEX or len(arguments) != 1:
        return None
    argument = approximate(arguments[0])
    if abs(argument) > LARGEST_ARGUMENT and name not in ("ln", "lg", "arctan"):
        msg = f"{name} of a number over {LARGEST_ARGUMENT:,}"
        raise Unreasonable(msg)
    try:
        result = mpc(_COMPLEX[name](argument))
    except (ZeroDivisionError, ValueError, OverflowError) as error:
        msg = f"{name}: {error}"
        raise Undefined(msg) from error
    if not mp.isfinite(result):
        raise Undefined(name)
    return snapped(result)


def _square_root(radicand: Number, degree: Number = Fraction(2)) -> Number:
    if not degree:
        msg = "a root of degree 0"
        raise Undefined(msg)
    if (
        isinstance(radicand, Fraction)
        and radicand < 0
        and isinstance(degree, Fraction)
        and degree.numerator % 2
        and degree.denominator == 1
    ):
        return multiplied(Fraction(-1), raised(-radicand, 1 / degree))
    return raised(radicand, quotient(Fraction(1), degree))


def _logarithm(argument: Number, base: Number | None = None) -> Number:
    if not argument:
        msg = "a logarithm of 0"
        raise Undefined(msg)
    natural = snapped(mp.log(approximate(argument)))
    return natural if base is None else quotient(natural, _logarithm(base))


def _whole(number: Number) -> int:
    if not isinstance(number, Fraction) or number.denominator != 1 or number < 0:
        msg = "a factorial or binomial of another than a whole number"
        raise Undefined(msg)
    if number > LARGEST_FACTORIAL:
        msg = f"a factorial or binomial of over {LARGEST_FACTORIAL:,}"
        raise Unreasonable(msg)
    return int(number)


def _small(number: Number) -> mpc:
    argument = approximate(number)
    if abs(argument) > LARGEST_FACTORIAL:
        msg = f"a factorial or binomial of over {LARGEST_FACTORIAL:,}"
        raise Unreasonable(msg)
    return argument


def _factorial(number: Number) -> Number:
    if isinstance(number, Fraction) and number.denominator == 1:
        return bounded(Fraction(math.factorial(_whole(number))))
    return mpc(mp.gamma(_small(number) + 1))


def _double_factorial(number: Number) -> Number:
    """The product of every second whole number down to 1 or 2."""
    return bounded(Fraction(math.prod(range(_whole(number), 0, -2))))


def _binomial(top: Number, bottom: Number) -> Number:
    if isinstance(top, Fraction) and top.denominator == 1:
        return bounded(Fraction(math.comb(_whole(top), _whole(bottom))))
    return mpc(mp.binomial(_small(top), _small(bottom)))


def _absolute(number: Number) -> Number:
    return abs(number) if isinstance(number, Fraction) else mpc(abs(number))


def _floor(number: Number) -> Number:
    return Fraction(math.floor(number)) if isinstance(number, Fraction) else Fraction(int(mp.floor(number.real)))


def _ceil(number: Number) -> Number:
    return Fraction(math.ceil(number)) if isinstance(number, Fraction) else Fraction(int(mp.ceil(number.real)))


def _of_integers(function: Callable[..., int]) -> Callable[..., Number]:
    return lambda *numbers: Fraction(function(*(_whole(number) for number in numbers)))


def _extreme(function: Callable[..., Any]) -> Callable[..., Number]:
    def chosen(*numbers: Number) -> Number:
        return function(numbers, key=lambda number: approximate(number).real)

    return chosen


_EXACT: Mapping[str, Callable[..., Number]] = {
    "sqrt": _square_root, "ln": _logarithm, "log": _logarithm, "factorial": _factorial,
    "double_factorial": _double_factorial, "binom": _binomial, "abs": _absolute,
    "floor": _floor, "ceil": _ceil, "gcd": _of_integers(math.gcd), "lcm": _of_integers(math.lcm), "max": _extreme(max),
    "min": _extreme(min), "lg": lambda number: _logarithm(number, Fraction(10)),
    "degrees": lambda number: multiplied(number, mpc(mp.pi / 180)),
}  # fmt: skip
_COMPLEX: Mapping[str, Callable[[mpc], Any]] = {
    "sin": mp.sin, "cos": mp.cos, "tan": mp.tan, "cot": mp.cot, "sec": mp.sec, "csc": mp.csc, "arcsin": mp.asin, "arccos": mp.acos,
    "arctan": mp.atan, "sinh": mp.sinh, "cosh": mp.cosh, "tanh": mp.tanh, "exp": mp.exp, "cis": mp.expj,
    "Re": mp.re, "Im": mp.im, "arg": mp.arg,
}  # fmt: skip
