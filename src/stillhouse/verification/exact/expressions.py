"""Expressions: trees of numbers, letters, operations and functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from stillhouse.verification.exact.lexing import Unreasonable

LARGEST_EXPONENT = 5_000
"""Most digits that an exponent such as ``e-19`` may add to a number."""


@dataclass(frozen=True, slots=True)
class Expression:
    """``kind`` is number, symbol, ``+ - * / ^``, negate, plus_minus, call or apply; ``name`` that of a symbol or a function.

    ``ulp`` of a number that is written with a decimal point or an exponent: one unit of its last digit.
    """

    kind: str
    arguments: tuple["Expression", ...] = ()
    name: str = ""
    value: Fraction = Fraction(0)
    ulp: Fraction | None = None


def number(text: str) -> Expression:
    """A number as it is written; an exponent or a decimal point gives it a last place."""
    digits, _, exponent = text.lower().partition("e")
    power = int(exponent or 0)
    if abs(power) > LARGEST_EXPONENT:
        msg = f"10 to the power {power}"
        raise Unreasonable(msg)
    scale = Fraction(10) ** power
    places = len(digits.partition(".")[2])
    is_decimal = "." in digits or bool(exponent)
    return Expression("number", value=Fraction(digits) * scale, ulp=scale / 10**places if is_decimal else None)


def symbols(*parts: Expression) -> set[str]:
    """The names of all symbols in the expressions."""
    found: set[str] = set()
    for part in parts:
        if part.kind == "symbol":
            found.add(part.name)
        found |= symbols(*part.arguments)
    return found


def calls(part: Expression) -> set[str]:
    """The names of all functions that an expression calls."""
    own = {part.name} if part.kind == "call" else {"^"} if part.kind == "^" else set()
    return own.union(*map(calls, part.arguments))


def alternatives(part: Expression) -> Sequence[Expression]:
    r"""The two expressions that ``\pm`` stands for; the expression alone without one. All signs are taken together."""
    if "plus_minus" not in _kinds(part):
        return (part,)
    return _chosen(part, upper=True), _chosen(part, upper=False)


def _kinds(part: Expression) -> set[str]:
    return {part.kind}.union(*map(_kinds, part.arguments))


def _chosen(part: Expression, *, upper: bool) -> Expression:
    arguments = tuple(_chosen(argument, upper=upper) for argument in part.arguments)
    if part.kind == "plus_minus":
        return arguments[0] if (part.name == "\\pm") == upper else Expression("negate", arguments)
    return Expression(part.kind, arguments, part.name, part.value, part.ulp)
