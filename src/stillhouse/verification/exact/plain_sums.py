r"""Sums of whole multiples of roots and letters over a whole number, multiplied out: ``(x+1)(x-2)``, ``\frac{3\sqrt{2}}{4}``.

Two are equal if and only if their terms are, once they have the same divisor.
"""

import math
import re
from functools import lru_cache
from typing import TypeAlias

Monomial: TypeAlias = tuple[int, tuple[tuple[str, int], ...]]
"""A squarefree number under the root, and letters with their powers, sorted: (2, (("x", 3),)) is √2·x³."""
Terms: TypeAlias = dict[Monomial, int]
"""Monomial -> whole coefficient, none of them 0."""
Quotient: TypeAlias = tuple[Terms, int]
"""Terms, and what divides them."""

LARGEST_RADICAND = 10**6
LARGEST_POWER = 12
MOST_TERMS = 60
LONGEST_NUMBER = 15
"""Digits of a number in a sum."""
LARGEST_COEFFICIENT = 10**60

_TOKEN = re.compile(r"\\[dt]?frac(?![A-Za-z])|\\sqrt(?![A-Za-z])|\\pi(?![A-Za-z])|[0-9]+|[abknpqxyz](?![A-Za-z])|[-+^(){}]")
r"""Letters that are no unit, constant or function. ``\pi`` is a letter: no sum of its powers is 0 unless all terms are."""
_ONE: Monomial = (1, ())
_AFTER_PRODUCT = frozenset({"", "+", "-", ")", "}"})


class NotPlain(Exception):
    """The text is no sum that is certain to be read in one way."""


def constant(value: int) -> Terms:
    """A whole number."""
    return {_ONE: value} if value else {}


def number(terms: Terms) -> int | None:
    """The whole number that terms are; None where a root or a letter stands in them."""
    if not terms:
        return 0
    return terms.get(_ONE) if len(terms) == 1 else None


def scaled(terms: Terms, factor: int) -> Terms:
    """The terms times a number."""
    return terms if factor == 1 else {monomial: factor * coefficient for monomial, coefficient in terms.items()}


def read_sum(text: str) -> Quotient:
    """The sum that a whole text is. Raises NotPlain."""
    text = text.replace("\\left(", "(").replace("\\right)", ")")
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != text.replace(" ", ""):
        raise NotPlain
    reader = _SumReader(tokens)
    result = reader.total()
    if reader.next:
        raise NotPlain
    return result


class _SumReader:
    """Recursive descent over tokens."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = [*tokens, ""]
        self._index = 0

    @property
    def next(self) -> str:
        """The next token; empty at the end."""
        return self._tokens[self._index]

    def _take(self, wanted: str = "") -> str:
        token = self._tokens[self._index]
        if not token or (wanted and token != wanted):
            raise NotPlain
        self._index += 1
        return token

    def total(self) -> Quotient:
        """Products joined by signs."""
        sign = self._sign() if self.next in ("+", "-") else 1
        terms, divisor = self._product()
        terms = scaled(terms, sign)
        while self.next in ("+", "-"):
            sign = self._sign()
            terms, divisor = _added((terms, divisor), sign, self._product())
        return terms, divisor

    def _sign(self) -> int:
        return -1 if self._take() == "-" else 1

    def _product(self) -> Quotient:
        terms, divisor = self._factor()
        while self.next not in _AFTER_PRODUCT:
            before = self._tokens[self._index - 1]
            if self.next.isdigit() or (self.next.endswith("frac") and before.isdigit()):
                # A number after a factor, or a mixed number.
                raise NotPlain
            further, by = self._factor()
            terms, divisor = _multiplied(terms, further), _bounded(divisor * by)
        return terms, divisor

    def _factor(self) -> Quotient:
        token = self._take()
        divisor = 1
        if token.isdigit() and len(token) <= LONGEST_NUMBER:
            base = constant(int(token))
        elif token.isalpha() or token == "\\pi":
            base = {(1, ((token, 1),)): 1}
        elif token == "(":
            base, divisor = self.total()
            self._take(")")
        elif token == "\\sqrt":
            base = _root(self._braced())
        elif token.endswith("frac"):
            base, divisor = self._quotient()
        else:
            raise NotPlain
        return self._powered(base, divisor) if self.next == "^" else (base, divisor)

    def _quotient(self) -> Quotient:
        (top, of_top), (bottom, of_bottom) = self._braced(), self._braced()
        value = number(bottom)
        if not value or self.next == "^":
            raise NotPlain
        return scaled(top, of_bottom), of_top * value

    def _braced(self) -> Quotient:
        self._take("{")
        content = self.total()
        self._take("}")
        return content

    def _powered(self, base: Terms, divisor: int) -> Quotient:
        self._take("^")
        token = self._take()
        if token == "{":
            token = self._take()
            self._take("}")
        if not token.isdigit() or token[0] == "0" or int(token) > LARGEST_POWER or self.next == "^":
            raise NotPlain
        terms, below = base, divisor
        for _ in range(int(token) - 1):
            terms, below = _multiplied(terms, base), _bounded(below * divisor)
        return terms, below


def _bounded(value: int) -> int:
    if value > LARGEST_COEFFICIENT:
        raise NotPlain
    return value


def _added(one: Quotient, sign: int, other: Quotient) -> Quotient:
    result = dict(scaled(one[0], other[1]))
    for monomial, coefficient in other[0].items():
        result[monomial] = result.get(monomial, 0) + sign * coefficient * one[1]
    return _without_zeros(result), _bounded(one[1] * other[1])


def _multiplied(one: Terms, other: Terms) -> Terms:
    """The product. Raises NotPlain for one of very many terms."""
    result: Terms = {}
    for (radicand, letters), coefficient in one.items():
        for (further, others), factor in other.items():
            shared = math.gcd(radicand, further)
            monomial = (radicand * further // shared**2, _merged(letters, others))
            result[monomial] = result.get(monomial, 0) + coefficient * factor * shared
    return _without_zeros(result)


def _without_zeros(terms: Terms) -> Terms:
    if len(terms) > MOST_TERMS or any(abs(coefficient) > LARGEST_COEFFICIENT for coefficient in terms.values()):
        raise NotPlain
    return {monomial: coefficient for monomial, coefficient in terms.items() if coefficient}


def _merged(one: tuple[tuple[str, int], ...], other: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    if not one or not other:
        return one or other
    powers = dict(one)
    for name, exponent in other:
        powers[name] = powers.get(name, 0) + exponent
    return tuple(sorted(powers.items()))


def _root(radicand: Quotient) -> Terms:
    """The square root of a whole number: √12 is 2·√3. Raises NotPlain for the root of anything else."""
    value = number(radicand[0])
    if radicand[1] != 1 or value is None or not 0 < value <= LARGEST_RADICAND:
        raise NotPlain
    outside, inside = _square_part(value)
    return {(inside, ()): outside}


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
