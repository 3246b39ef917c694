"""The tool ``calculator``: arithmetic, and nothing else of Python."""

import ast
import operator
from collections.abc import Callable

LONGEST = 200
"""Characters of an expression."""
MOST_DIGITS = 100
"""Digits of a result."""
_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip


def calculate(expression: str) -> str:
    """Compute an arithmetic expression: + - * / // % ** and parentheses.

    Args:
        expression: What to compute, such as (1 + 2) * 3.
    """
    if len(expression) > LONGEST:
        msg = f"an expression has at most {LONGEST} characters, got {len(expression)}"
        raise ValueError(msg)
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except SyntaxError as error:
        msg = f"not an arithmetic expression: {expression.strip()!r}"
        raise ValueError(msg) from error
    value = _value(tree.body)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return str(value)


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
        return node.value  # type: ignore[return-value] # an int or a float, by the line above
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _value(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow) and (abs(right) > MOST_DIGITS * 4 or (left < 0 and right != int(right))):
            msg = f"{left:g} ** {right:g} is not computed here"
            raise ValueError(msg)
        return _bounded(_BINARY[type(node.op)](left, right))
    msg = f"only numbers, + - * / // % ** and parentheses are allowed, got {ast.unparse(node)!r}"
    raise ValueError(msg)


def _bounded(value: float) -> float:
    if isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
        msg = f"a result has at most {MOST_DIGITS} digits"
        raise ValueError(msg)
    return value
