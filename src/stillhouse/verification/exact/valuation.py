"""The value of an expression: exact for rational numbers, 60 digits for all others, at fixed random values of its letters.

Every step is bounded: numbers beyond the bounds raise Unreasonable at once, whatever the machine is doing.
"""

import hashlib
from collections.abc import Callable, Mapping
from fractions import Fraction

from mpmath import mp, mpc

from stillhouse.verification.exact import high_precision
from stillhouse.verification.exact.expressions import Expression
from stillhouse.verification.exact.functions import called
from stillhouse.verification.exact.high_precision import (
    DIGITS,
    Number,
    Undefined,
    added,
    approximate,
    multiplied,
    quotient,
    raised,
)  # fmt: skip

Point = Mapping[str, Number]


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
    high_precision.start()
    with mp.workdps(DIGITS):
        return _value(part, point)


def _value(part: Expression, point: Point) -> Number:
    if part.kind == "number":
        return part.value
    if part.kind == "symbol":
        return _symbol(part.name, point)
    if part.kind == "plus_minus":
        msg = "a value of both signs"
        raise Undefined(msg)
    arguments = [_value(argument, point) for argument in part.arguments]
    if part.kind in ("call", "apply"):
        result = called(part.name, arguments) if part.kind == "call" else None
        return _unknown(part.name, arguments) if result is None else result
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


_OPERATIONS: Mapping[str, Callable[[Number, Number], Number]] = {"+": added, "*": multiplied, "/": quotient, "^": raised}


def _unknown(name: str, arguments: list[Number]) -> Number:
    """A value for an unknown function at its arguments: the same for equal arguments, another for others."""
    with mp.workdps(DIGITS // 2):
        shown = [mp.nstr(approximate(argument), 25) for argument in arguments]
    return at(f"{name}({','.join(shown)})", 0)
