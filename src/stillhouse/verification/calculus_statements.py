r"""What of a formula with integrals, sums, products and limits is compared with what: ``\lim a_n = 3, \lim b_n = 4``.

math-verify reads one expression; of several, or of an equation, it would drop all but one.
"""

import re
from collections.abc import Sequence

_CALCULUS = re.compile(r"\\(?:int|sum|prod|lim)(?![A-Za-z])")
_UNREAD = re.compile(r"\\(?:begin|bigcup|bigcap|iint|iiint|oint|limsup|liminf)(?![A-Za-z])")
_TEXT = re.compile(r"\\(?:text|textbf|textrm|mathrm|operatorname|mbox) ?\{([^{}]*)\}")
_WORD = re.compile(r"(?<![A-Za-z\\])(?:[A-Za-z]{4,}|for|the|and|but|not|has|are|was|its)(?![A-Za-z])")
_FUNCTION = re.compile(r"arcsin|arccos|arctan|sinh|cosh|tanh|sqrt|dxdy|dydx|dxdydz")
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_COMPARISON = re.compile(r"[<>]|\\(?:le|leq|ge|geq|ne|neq|lt|gt|in)(?![A-Za-z])")


def is_one(text: str) -> bool:
    """Whether a text is a formula with an integral, a sum, a product or a limit, and without words."""
    if not _CALCULUS.search(text) or _UNREAD.search(text):
        return False
    in_text = any(re.search(r"[A-Za-z]{2,}", match[1]) for match in _TEXT.finditer(text))
    return not in_text and not _WORD.search(_FUNCTION.sub("", _TEXT.sub("", text)))


def pairs(reference: str, answer: str) -> Sequence[tuple[str, str]] | None:
    """The sides that must be equal; None if the answer has another number of statements than the reference.

    Equations are compared side by side; of chains of different lengths the first and the last sides. A value answers an equation.
    """
    gold, given = _statements(reference), _statements(answer)
    if len(gold) != len(given):
        # |x| < 1 says for which letters the others hold.
        gold, given = ([part for part in statements if not _COMPARISON.search(part)] for statements in (gold, given))
    if len(gold) != len(given):
        return None
    return [pair for one, other in zip(gold, given, strict=True) for pair in _of_equations(_split(one, "="), _split(other, "="))]


def sides(text: str) -> Sequence[str]:
    """Every side of a formula's statements that has an integral, a sum, a product or a limit."""
    return [side for statement in _statements(text) for side in _split(statement, "=") if _CALCULUS.search(side)]


def _of_equations(gold: list[str], answer: list[str]) -> list[tuple[str, str]]:
    if len(gold) == len(answer):
        return list(zip(gold, answer, strict=True))
    last = (gold[-1], answer[-1])
    return [last] if 1 in (len(gold), len(answer)) else [(gold[0], answer[0]), last]


def _statements(text: str) -> list[str]:
    return _split(text.strip().rstrip(".,;"), ",;")


def _split(text: str, marks: str) -> list[str]:
    """The parts of a text between marks outside brackets."""
    parts, depth = [""], 0
    for character in re.sub(r"\\(?:left|right)(?![A-Za-z])|\\[,;]", " ", text):
        depth += (character in _OPENING) - (character in _CLOSING)
        if character in marks and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]
