"""The value of an expression: exact for rational numbers, 60 digits for all others, at fixed random values of its letters.

Every step is bounded: numbers beyond the bounds raise Unreasonable at once, whatever the machine is doing.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from fractions import Fraction
from typing import Any, TypeAlias

from mpmath import mp, mpc, mpf

from stillhouse.verification.exact.expressions import Expression
from stillhouse.verification.exact.lexing import Unreasonable

DIGITS = 60
LARGEST_BITS = 60_000
"""Bits of a number that is held exactly: 2004! has 19,000."""
MOST_BITS = 4_000_000
"""Bits of all numbers that one evaluation goes through: what bounds its time."""
LARGEST_FACTORIAL = 5_000
LARGEST_ARGUMENT = 10**6
"""Of functions such as tan and exp: beyond it, 60 digits hold nothing of the angle."""
CANCELLED = mpf(10) ** -52
"""A sum this small relative to its terms is 0."""

Number: TypeAlias = Any
"""A Fraction, or a complex number of mpmath in 60 digits."""
Point = Mapping[str, Number]


class Undefined(Exception):
    """The expression has no value here: a division by zero, or a logarithm of it."""


def at(name: str, trial: int, *, signed: bool = False) -> Fraction:
    """The value of a letter in a trial: the same in every run, between 1/3 and 3, negative in some trials if ``signed``."""
    digest = hashlib.sha256(f"{name}/{trial}".encode()).digest()
    value = Fraction(1, 3) + Fraction(int.from_bytes(digest[:4], "big") % 997 + 1, 374)
    return -value if signed and digest[4] % 2 else value


def whole_at(name: str, trial: int) -> Fraction:
    """The value of a letter in a trial of formulas for whole numbers: between 20 and 1,000."""
    digest = hashlib.sha256(f"{name}/{trial}".encode()).digest()
    return Fraction(20 + int.from_bytes(digest[:4], "big") % 980)


def long_at(name: str, trial: int) -> Fraction:
    """The value of a letter in a trial of formulas with floors: no whole number, between 20 and 1,000."""
    return whole_at(name, trial) + at(name, trial) / 7


def value(part: Expression, point: Point) -> Number:
    """The value. Raises Undefined where it has none, Unreasonable beyond the bounds."""
    _spent.set(0)
    with mp.workdps(DIGITS):
        return _value(part, point)


def _value(part: Expression, point: Point) -> Number:
    if part.kind == "number":
        return part.value
    if part.kind == "symbol":
        return _symbol(part.name, point)
    arguments = [_value(argument, point) for argument in part.arguments]
    if part.kind == "call":
        return _call(part.name, arguments)
    if part.kind == "apply":
        return _unknown(part.name, arguments)
    if part.kind == "negate":
        return -arguments[0]
    return _OPERATIONS[part.kind](*arguments)


def _symbol(name: str, point: Point) -> Number:
    if name in _CONSTANTS:
        return _CONSTANTS[name]()
    if name in point:
        return point[name]
    msg = f"no value for {name}"
    raise Undefined(msg)


def _infinite() -> Number:
    msg = "infinity"
    raise Undefined(msg)


_CONSTANTS: Mapping[str, Callable[[], Number]] = {
    "pi": lambda: mpc(mp.pi), "e": lambda: mpc(mp.e), "i": lambda: mpc(0, 1), "imath": lambda: mpc(0, 1), "infty": _infinite,
}  # fmt: skip
CONSTANTS = frozenset(_CONSTANTS)


def _bits(number: Fraction) -> int:
    return max(number.numerator.bit_length(), number.denominator.bit_length())


_spent: ContextVar[int] = ContextVar("bits_of_an_evaluation", default=0)


def _bounded(number: Fraction) -> Fraction:
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


def _add(left: Number, right: Number) -> Number:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return _bounded(left + right)
    one, other = approximate(left), approximate(right)
    total = one + other
    if abs(total) <= CANCELLED * max(abs(one), abs(other)):
        return Fraction(0)
    return total


def _multiply(left: Number, right: Number) -> Number:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return _bounded(left * right)
    return approximate(left) * approximate(right)


def _divide(left: Number, right: Number) -> Number:
    if not right:
        msg = "a division by zero"
        raise Undefined(msg)
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return _bounded(left / right)
    return approximate(left) / approximate(right)


def _power(base: Number, exponent: Number) -> Number:
    if not base:
        return _power_of_zero(exponent)
    if isinstance(exponent, Fraction) and isinstance(base, Fraction):
        if exponent.denominator == 1:
            if abs(exponent) * _bits(base) > LARGEST_BITS and abs(base) != 1:
                msg = "a power beyond every use"
                raise Unreasonable(msg)
            return _bounded(base ** int(exponent))
        if (root := _exact_root(base, exponent)) is not None:
            return root
    one, other = approximate(base), approximate(exponent)
    if abs(other * mp.log(one)) > LARGEST_ARGUMENT:
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


def divided(left: Number, right: Number) -> Number:
    """The quotient of two values. Raises Undefined for a division by zero."""
    with mp.workdps(DIGITS):
        return _divide(left, right)


_OPERATIONS: Mapping[str, Callable[[Number, Number], Number]] = {"+": _add, "*": _multiply, "/": _divide, "^": _power}


def _call(name: str, arguments: list[Number]) -> Number:
    if name in _EXACT:
        return _EXACT[name](*arguments)
    if name not in _COMPLEX or len(arguments) != 1:
        return _unknown(name, arguments)
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
    return _snapped(result)


def _snapped(result: mpc) -> Number:
    """Zero for what is nothing but rounding: the sine of π is 0."""
    real = mpf(0) if abs(result.real) < CANCELLED else result.real
    imaginary = mpf(0) if abs(result.imag) < CANCELLED else result.imag
    return mpc(real, imaginary) if real or imaginary else Fraction(0)


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
        return _multiply(Fraction(-1), _power(-radicand, 1 / degree))
    return _power(radicand, _divide(Fraction(1), degree))


def _logarithm(argument: Number, base: Number | None = None) -> Number:
    if not argument:
        msg = "a logarithm of 0"
        raise Undefined(msg)
    natural = _snapped(mp.log(approximate(argument)))
    return natural if base is None else _divide(natural, _logarithm(base))


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
        return _bounded(Fraction(math.factorial(_whole(number))))
    return mpc(mp.gamma(_small(number) + 1))


def _binomial(top: Number, bottom: Number) -> Number:
    if isinstance(top, Fraction) and top.denominator == 1:
        return _bounded(Fraction(math.comb(_whole(top), _whole(bottom))))
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
    "sqrt": _square_root, "ln": _logarithm, "log": _logarithm, "factorial": _factorial, "binom": _binomial, "abs": _absolute,
    "floor": _floor, "ceil": _ceil, "gcd": _of_integers(math.gcd), "lcm": _of_integers(math.lcm), "max": _extreme(max),
    "min": _extreme(min), "lg": lambda number: _logarithm(number, Fraction(10)),
    "degrees": lambda number: _multiply(number, mpc(mp.pi / 180)),
}  # fmt: skip
_COMPLEX: Mapping[str, Callable[[mpc], Any]] = {
    "sin": mp.sin, "cos": mp.cos, "tan": mp.tan, "cot": mp.cot, "sec": mp.sec, "csc": mp.csc, "arcsin": mp.asin, "arccos": mp.acos,
    "arctan": mp.atan, "sinh": mp.sinh, "cosh": mp.cosh, "tanh": mp.tanh, "exp": mp.exp, "Re": mp.re, "Im": mp.im, "arg": mp.arg,
}  # fmt: skip


def _unknown(name: str, arguments: list[Number]) -> Number:
    """A value for an unknown function at its arguments: the same for equal arguments, another for others."""
    with mp.workdps(DIGITS // 2):
        shown = [mp.nstr(approximate(argument), 25) for argument in arguments]
    return at(f"{name}({','.join(shown)})", 0)
