r"""Tokens -> what a formula with matrices is: their sums, products, transposes, powers and determinants, entry by entry.

``\frac{1}{10}\begin{pmatrix}…``, ``c_1\left[\begin{array}…\right]e^t + …``, ``A^T``, cross and dot products of columns.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import TypeAlias

from stillhouse.verification.exact.determinants import determinant
from stillhouse.verification.exact.expression_reader import expression
from stillhouse.verification.exact.expressions import Expression, number
from stillhouse.verification.exact.lexing import CLOSING, OPENING, Token, Tokens, Unreadable, Unreasonable, cells, source, turn
from stillhouse.verification.exact.values import Group, Matrix, Quantity, Value

Rows: TypeAlias = list[list[Expression]]
Part: TypeAlias = Expression | Rows

MOST_PRODUCTS = 6
"""Products of matrices in one formula: each multiplies the size of its entries."""
LARGEST_POWER = 4

_KINDS = frozenset({"matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "array", "smallmatrix"})
_PRODUCTS = {"\\cdot": "dot", "\\bullet": "dot", "\\times": "cross", "*": "dot"}
_TRANSPOSED = frozenset({"T", "\\top", "\\intercal", "t"})


def has_matrix(listed: Tokens) -> bool:
    """Whether a matrix stands among the tokens."""
    return any(token.text == "\\begin" for token in listed)


def combined(listed: Tokens) -> Value:
    """The matrix, or the number, that tokens with matrices are. Raises Unreadable, and Unreasonable for too many products."""
    reader = _MatrixReader(list(listed))
    result = reader.total()
    if reader.rest:
        msg = f"{reader.rest[0].text!r} after a matrix"
        raise Unreadable(msg)
    if isinstance(result, Expression):
        return Quantity(result)
    return _of_quantities(result)


def as_tuple(value: Value) -> Value:
    """A column or a row as the tuple of its entries; every other value as it is."""
    if not isinstance(value, Matrix) or 1 not in (len(value.rows), len(value.rows[0])):
        return value
    return Group("(", ")", tuple(entry for row in value.rows for entry in row))


@dataclass
class _MatrixReader:
    """Recursive descent over tokens: ``rest`` are those that are still to be read."""

    rest: list[Token]
    products: int = 0

    def total(self) -> Part:
        """Terms joined by signs, up to the end or a closing bracket."""
        result = self._term(negative=self._sign())
        while self.rest and self.rest[0].text in ("+", "-"):
            result = _sum(result, self._term(negative=self._sign()))
        return result

    def _sign(self) -> bool:
        return bool(self.rest and self.rest[0].text in ("+", "-")) and self.rest.pop(0).text == "-"

    def _term(self, *, negative: bool) -> Part:
        result: Part | None = None
        while self.rest and self.rest[0].text not in ("+", "-", *CLOSING):
            operator = _PRODUCTS[self.rest.pop(0).text] if self.rest[0].text in _PRODUCTS else ""
            factor = self._factor()
            result = factor if result is None else self._product(result, factor, operator)
        if result is None:
            msg = "a sum of matrices without a term"
            raise Unreadable(msg)
        return _times(result, Expression("number", value=Fraction(-1))) if negative else result

    def _factor(self) -> Part:
        """One matrix with its power, or all scalar tokens up to the next one."""
        if self.rest[0].text == "\\begin":
            return self._powered(self._matrix())
        if self.rest[0].text in OPENING and has_matrix(self.rest[: self._end()]):
            closing = self._end()
            inside = _MatrixReader(self.rest[1 : closing - 1], self.products)
            content = inside.total()
            if inside.rest:
                msg = f"{inside.rest[0].text!r} after a matrix"
                raise Unreadable(msg)
            self.rest, self.products = self.rest[closing:], inside.products
            return self._powered(content)
        if self.rest[0].text == "|" and len(self.rest) > 1 and self.rest[1].text == "\\begin":
            self.rest.pop(0)
            rows = self._matrix()
            self._take("|")
            return rows if isinstance(rows, Expression) else determinant(_of_quantities(rows)).expression
        return self._scalar()

    def _scalar(self) -> Expression:
        taken: list[Token] = []
        while self.rest and not self._starts_matrix() and (taken == [] or self.rest[0].text not in ("+", "-", *_PRODUCTS)):
            if self.rest[0].text in CLOSING:
                break
            size = self._end() if self.rest[0].text in OPENING else 1
            taken, self.rest = taken + self.rest[:size], self.rest[size:]
        if taken and taken[0].text == "/":
            return Expression("/", (number("1"), expression(taken[1:])))
        return expression(taken)

    def _starts_matrix(self) -> bool:
        first = self.rest[0].text
        if first == "|":
            return len(self.rest) > 1 and self.rest[1].text == "\\begin"
        return first == "\\begin" or (first in OPENING and has_matrix(self.rest[: self._end()]))

    def _end(self) -> int:
        """The number of tokens up to the bracket that closes the first one."""
        depth = 0
        for position, token in enumerate(self.rest):
            depth += turn(token)
            if depth == 0:
                return position + 1
        msg = "a bracket that is not closed"
        raise Unreadable(msg)

    def _take(self, *texts: str) -> None:
        for text in texts:
            if not self.rest or self.rest.pop(0).text != text:
                msg = f"expected {text!r} in a matrix"
                raise Unreadable(msg)

    def _matrix(self) -> Part:
        r"""``\begin{pmatrix} … \end{pmatrix}`` with its rows."""
        self._take("\\begin")
        size = self._end() if self.rest and self.rest[0].text == "{" else 0
        kind, self.rest = source(self.rest[1 : size - 1]), self.rest[size:]
        if kind not in _KINDS:
            msg = f"the environment {kind!r}"
            raise Unreadable(msg)
        if kind == "array" and self.rest and self.rest[0].text == "{":
            self.rest = self.rest[self._end() :]
        ending = next((place for place, token in enumerate(self.rest) if token.text == "\\end"), None)
        if ending is None:
            msg = "a matrix that does not end"
            raise Unreadable(msg)
        entries, self.rest = self.rest[:ending], self.rest[ending + 1 :]
        self.rest = self.rest[self._end() :] if self.rest else []
        rows = _rows(entries)
        return determinant(_of_quantities(rows)).expression if kind == "vmatrix" else rows

    def _powered(self, base: Part) -> Part:
        if not self.rest or self.rest[0].text != "^":
            return base
        self.rest.pop(0)
        size = self._end() if self.rest and self.rest[0].text == "{" else 1
        shown, self.rest = source(self.rest[:size]).strip("{}"), self.rest[size:]
        if isinstance(base, Expression):
            return Expression("^", (base, number(shown)))
        if shown in _TRANSPOSED or shown.removeprefix("\\mathrm") in _TRANSPOSED or shown == "\\text{T}":
            return [list(column) for column in zip(*base, strict=True)]
        if not shown.isdigit() or not 1 <= int(shown) <= LARGEST_POWER:
            msg = f"a matrix to the power {shown!r}"
            raise Unreadable(msg)
        result: Part = base
        for _ in range(int(shown) - 1):
            result = self._product(result, base, "")
        return result

    def _product(self, one: Part, other: Part, operator: str) -> Part:
        if isinstance(one, Expression):
            return _times(other, one)
        if isinstance(other, Expression):
            return _times(one, other)
        self.products += 1
        if self.products > MOST_PRODUCTS:
            msg = f"over {MOST_PRODUCTS} products of matrices"
            raise Unreasonable(msg)
        is_of_vectors = len(one[0]) == len(other[0]) == 1 and len(one) == len(other)
        return _OF_VECTORS[operator](one, other) if operator and is_of_vectors else _matrix_product(one, other)


def _rows(entries: Tokens) -> Rows:
    r"""The entries between ``&`` and ``\\\\``. Raises Unreadable for rows of several lengths."""
    kept = cells(entries)
    if not kept or any(len(row) != len(kept[0]) for row in kept):
        msg = "a matrix whose rows have several lengths"
        raise Unreadable(msg)
    return [[expression(entry) for entry in row] for row in kept]


def _of_quantities(rows: Rows) -> Matrix:
    return Matrix(tuple(tuple(Quantity(entry) for entry in row) for row in rows))


def _added(one: Expression, other: Expression) -> Expression:
    if one.kind == other.kind == "number" and one.ulp is other.ulp is None:
        return Expression("number", value=one.value + other.value)
    return Expression("+", (one, other))


def _multiplied(one: Expression, other: Expression) -> Expression:
    if one.kind == other.kind == "number" and one.ulp is other.ulp is None:
        return Expression("number", value=one.value * other.value)
    return Expression("*", (one, other))


def _negated(part: Expression) -> Expression:
    return _multiplied(Expression("number", value=Fraction(-1)), part)


def _times(part: Part, factor: Expression) -> Part:
    if isinstance(part, Expression):
        return _multiplied(factor, part)
    return [[_multiplied(factor, entry) for entry in row] for row in part]


def _sum(one: Part, other: Part) -> Part:
    if isinstance(one, Expression) and isinstance(other, Expression):
        return _added(one, other)
    if isinstance(one, Expression) or isinstance(other, Expression) or _shape(one) != _shape(other):
        msg = "a sum of matrices of different shapes"
        raise Unreadable(msg)
    return [[_added(*pair) for pair in zip(*rows, strict=True)] for rows in zip(one, other, strict=True)]


def _shape(rows: Rows) -> tuple[int, int]:
    return len(rows), len(rows[0])


def _matrix_product(one: Rows, other: Rows) -> Part:
    if len(one[0]) != len(other):
        msg = "a product of matrices whose shapes do not fit"
        raise Unreadable(msg)
    columns = list(zip(*other, strict=True))
    result = [[reduce(_added, map(_multiplied, row, column)) for column in columns] for row in one]
    return result[0][0] if _shape(result) == (1, 1) else result


def _dot(one: Rows, other: Rows) -> Part:
    return reduce(_added, (_multiplied(row[0], column[0]) for row, column in zip(one, other, strict=True)))


def _cross(one: Rows, other: Rows) -> Part:
    if len(one) != 3:
        msg = "a cross product of vectors that have not three components"
        raise Unreadable(msg)
    a, b = [row[0] for row in one], [row[0] for row in other]
    places = ((1, 2), (2, 0), (0, 1))
    return [[_added(_multiplied(a[i], b[j]), _negated(_multiplied(a[j], b[i])))] for i, j in places]


_OF_VECTORS: Mapping[str, Callable[[Rows, Rows], Part]] = {"dot": _dot, "cross": _cross}
"""Products of two columns of the same length."""
