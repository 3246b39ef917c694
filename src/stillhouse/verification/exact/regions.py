r"""Sets of real numbers as unions of intervals: what ``(2,\infty)``, ``x > 2`` and ``\{x | x > 2\}`` have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from mpmath import mpf

from stillhouse.verification.exact import high_precision, valuation
from stillhouse.verification.exact.expressions import Expression, symbols
from stillhouse.verification.exact.values import Builder, Combination, Group, Listing, NamedSet, Quantity, Relation, Value

_CLOSE = mpf(10) ** -9
_INFINITE = mpf("inf")


class NoRegion(Exception):
    """The value is no set of real numbers that these rules see."""


@dataclass(frozen=True, slots=True)
class Piece:
    """An interval; an end is closed if it belongs to it."""

    low: mpf
    low_closed: bool
    high: mpf
    high_closed: bool


@dataclass(frozen=True, slots=True)
class Region:
    """Disjoint pieces in order. ``variable`` is empty if none is named."""

    pieces: tuple[Piece, ...]
    variable: str = ""


@dataclass(frozen=True, slots=True)
class _Line:
    """``slope`` times a letter plus ``start``, or the absolute value of it; ``plain`` if it is the letter alone."""

    variable: str
    slope: mpf
    start: mpf
    absolute: bool
    plain: bool = False

    def where(self, values: Region) -> Region:
        """The letter's values for which this lies in a region."""
        pieces = values.pieces
        if self.absolute:
            pieces = _intersection(pieces, (Piece(mpf(0), True, _INFINITE, False),))
            pieces = _union(pieces, [Piece(-piece.high, piece.high_closed, -piece.low, piece.low_closed) for piece in pieces])
        if self.plain:
            return Region(pieces, self.variable)
        moved = [self._moved(piece) for piece in pieces]
        return Region(tuple(sorted(moved, key=lambda piece: piece.low)), self.variable)

    def _moved(self, piece: Piece) -> Piece:
        low, high = ((end - self.start) / self.slope for end in (piece.low, piece.high))
        if self.slope > 0:
            return Piece(low, piece.low_closed, high, piece.high_closed)
        return Piece(high, piece.high_closed, low, piece.low_closed)


_PLACES = (Fraction(1), Fraction(-5, 2), Fraction(7))
"""Where a side is looked at besides 0 to see that it is linear."""
ALL = Region((Piece(-_INFINITE, False, _INFINITE, False),))
NOTHING = Region(())


def same(one: Region, other: Region) -> bool:
    """Whether both hold the same numbers, and speak of the same variable if both name one."""
    if one.variable and other.variable and one.variable != other.variable:
        return False
    return len(one.pieces) == len(other.pieces) and all(map(_same_piece, one.pieces, other.pieces))


def _same_piece(one: Piece, other: Piece) -> bool:
    closed = (one.low_closed, one.high_closed) == (other.low_closed, other.high_closed)
    return closed and _close(one.low, other.low) and _close(one.high, other.high)


def _close(one: mpf, other: mpf) -> bool:
    if one == other:
        return True
    largest = max(abs(one), abs(other))
    return bool(largest != _INFINITE and abs(one - other) <= _CLOSE * largest)


def region(value: Value) -> Region:
    """The numbers a value stands for. Raises NoRegion, and what ``valuation.value`` raises."""
    if isinstance(value, NamedSet):
        return _named(value)
    if isinstance(value, Group):
        return _group(value)
    if isinstance(value, Relation):
        return _relation(value)
    if isinstance(value, Builder):
        return _several([region(condition) for condition in value.conditions], union=False, variable=value.variable)
    if isinstance(value, Combination):
        return _combined(value)
    if isinstance(value, Listing) and all(isinstance(item, Relation) for item in value.items):
        return _several([region(item) for item in value.items], union=value.word == "or")
    raise NoRegion


def _named(value: NamedSet) -> Region:
    if value.name not in ("R", "empty"):
        raise NoRegion
    return ALL if value.name == "R" else NOTHING


def _group(value: Group) -> Region:
    if value.opening == "{":
        points = sorted(number(item) for item in value.items)
        return Region(tuple(Piece(point, True, point, True) for point in points))
    if len(value.items) != 2:
        raise NoRegion
    low, high = map(number, value.items)
    if low > high or (low == high and (value.opening, value.closing) != ("[", "]")):
        raise NoRegion
    return Region((Piece(low, value.opening == "[" and low != -_INFINITE, high, value.closing == "]" and high != _INFINITE),))


def number(value: Value) -> mpf:
    """The real number a value stands for, infinities included."""
    if not isinstance(value, Quantity):
        raise NoRegion
    sign = infinity(value.expression)
    if sign:
        return sign * _INFINITE
    point = {name: valuation.at(name, 0) for name in symbols(value.expression) - valuation.CONSTANTS}
    result = valuation.value(value.expression, point)
    approximate = high_precision.approximate(result)
    if approximate.imag:
        raise NoRegion
    return approximate.real / 100 if value.percent else approximate.real


def infinity(expression: Expression) -> int:
    """1 and -1 for the infinities, 0 for all else."""
    if expression.kind == "negate":
        return -infinity(expression.arguments[0])
    return int(expression.kind == "symbol" and expression.name == "infty")


def _relation(value: Relation) -> Region:
    """Comparisons of one letter with numbers."""
    if value.operators == ("in",):
        inside = region(value.members[1])
        return Region(inside.pieces, value.texts[0])
    lines = [_line(member) for member in value.members]
    places = [place for place, line in enumerate(lines) if line is not None]
    places = [place for place in places if (line := lines[place]) and line.plain] or places
    if len(places) != 1 or len(value.members) > 3 or not set(value.operators) <= {"<", "<=", ">", ">=", "!="}:
        raise NoRegion
    place = places[0]
    sides = []
    for position, operator in enumerate(value.operators):
        if place not in (position, position + 1):
            raise NoRegion
        other = value.members[position + 1] if place == position else value.members[position]
        sides.append(_side(operator if place == position else _TURNED[operator], number(other)))
    line = lines[place]
    assert line is not None
    return line.where(_several(sides, union=False))


_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "!=": "!="}


def _line(value: Value) -> _Line | None:
    """A side that is a letter, ``ax + b`` or ``|ax + b|``; None for others."""
    if not isinstance(value, Quantity) or value.unit or value.percent:
        return None
    shown = value.expression
    absolute = (shown.kind, shown.name) == ("call", "abs")
    inner = shown.arguments[0] if absolute else shown
    names = symbols(inner) - valuation.CONSTANTS
    if len(names) != 1 or "infty" in symbols(inner):
        return None
    name = names.pop()
    if shown.kind == "symbol":
        return _Line(name, mpf(1), mpf(0), absolute=False, plain=True)
    try:
        start, *ends = (high_precision.approximate(valuation.value(inner, {name: place})) for place in (Fraction(0), *_PLACES))
    except high_precision.Undefined:
        return None
    slopes = [(end - start) / float(place) for end, place in zip(ends, _PLACES, strict=True)]
    if start.imag or not slopes[0].real or any(abs(slope - slopes[0]) > _CLOSE for slope in slopes) or slopes[0].imag:
        return None
    return _Line(name, slopes[0].real, start.real, absolute=absolute)


def _side(operator: str, bound: mpf) -> Region:
    below = Piece(-_INFINITE, False, bound, operator == "<=")
    above = Piece(bound, operator == ">=", _INFINITE, False)
    return Region({"<": (below,), "<=": (below,), ">": (above,), ">=": (above,)}.get(operator, (below, above)))


def _several(regions: Sequence[Region], *, union: bool, variable: str = "") -> Region:
    names = {name for name in [variable, *(part.variable for part in regions)] if name}
    if len(names) > 1:
        raise NoRegion
    pieces = regions[0].pieces
    for part in regions[1:]:
        pieces = _union(pieces, part.pieces) if union else _intersection(pieces, part.pieces)
    return Region(pieces, next(iter(names), ""))


def _combined(value: Combination) -> Region:
    pieces = region(value.parts[0]).pieces
    for operator, part in zip(value.operators, value.parts[1:], strict=True):
        others = region(part).pieces
        if operator == "cup":
            pieces = _union(pieces, others)
        else:
            pieces = _intersection(pieces, others if operator == "cap" else _complement(others))
    return Region(pieces)


def _intersection(one: Sequence[Piece], other: Sequence[Piece]) -> tuple[Piece, ...]:
    met = (_met(left, right) for left in one for right in other)
    return tuple(sorted((piece for piece in met if piece is not None), key=lambda piece: (piece.low, piece.high)))


def _met(one: Piece, other: Piece) -> Piece | None:
    low, high = max(one.low, other.low), min(one.high, other.high)
    low_closed = all(piece.low_closed for piece in (one, other) if piece.low == low)
    high_closed = all(piece.high_closed for piece in (one, other) if piece.high == high)
    if low > high or (low == high and not (low_closed and high_closed)):
        return None
    return Piece(low, low_closed, high, high_closed)


def _complement(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    rest: tuple[Piece, ...] = ALL.pieces
    for piece in pieces:
        outside = []
        if piece.low != -_INFINITE:
            outside.append(Piece(-_INFINITE, False, piece.low, not piece.low_closed))
        if piece.high != _INFINITE:
            outside.append(Piece(piece.high, not piece.high_closed, _INFINITE, False))
        rest = _intersection(rest, outside)
    return rest


def _union(one: Sequence[Piece], other: Sequence[Piece]) -> tuple[Piece, ...]:
    return _complement(_intersection(_complement(one), _complement(other)))
