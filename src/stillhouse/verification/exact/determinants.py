"""The determinant of a matrix of formulas."""

from stillhouse.verification.exact.expressions import Expression
from stillhouse.verification.exact.lexing import Unreadable
from stillhouse.verification.exact.values import Matrix, Quantity

LARGEST = 5
"""Rows of a determinant that is expanded."""


def determinant(matrix: Matrix) -> Quantity:
    """What stands between the bars of a ``vmatrix``. Raises Unreadable unless it is a small square of expressions."""
    rows = [[entry.expression for entry in row if isinstance(entry, Quantity) and not entry.unit] for row in matrix.rows]
    if not 0 < len(rows) <= LARGEST or any(len(row) != len(rows) for row in (*rows, *matrix.rows)):
        msg = "bars around what is not a small square matrix of numbers"
        raise Unreadable(msg)
    return Quantity(_expanded(rows))


def _expanded(rows: list[list[Expression]]) -> Expression:
    """Along the first row (Laplace)."""
    total = rows[0][0] if len(rows) == 1 else None
    for column, entry in enumerate(rows[0] if len(rows) > 1 else ()):
        minor = _expanded([row[:column] + row[column + 1 :] for row in rows[1:]])
        term = Expression("*", (entry, minor))
        signed = Expression("negate", (term,)) if column % 2 else term
        total = signed if total is None else Expression("+", (total, signed))
    assert total is not None
    return total
