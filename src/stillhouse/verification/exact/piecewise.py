r"""Functions by cases: ``\begin{cases} x, & x > 0 \\ -x, & \text{otherwise} \end{cases}`` is a list of values with conditions."""

import re
from collections.abc import Callable

from stillhouse.verification.exact import phrases
from stillhouse.verification.exact.lexing import Token, Tokens, Unreadable, cells, source
from stillhouse.verification.exact.values import Group, Listing, Value, Words

_IF = re.compile(r"(?:if|for|when|where|as)\b", re.IGNORECASE)
_START = ["\\begin", "{", *"cases", "}"]
_END = ["\\end", "{", *"cases", "}"]


def is_piecewise(listed: Tokens) -> bool:
    """Whether the tokens are one function by cases."""
    texts = [token.text for token in listed]
    return texts[: len(_START)] == _START and texts[-len(_END) :] == _END


def piecewise(listed: Tokens, read: Callable[[Tokens], Value]) -> Listing:
    """Each row's value and its condition, as read by ``read``. Raises Unreadable."""
    pairs = [[_without_comma(part) for part in row] for row in cells(listed[len(_START) : -len(_END)])]
    if not pairs or any(len(pair) != 2 or not all(pair) for pair in pairs):
        msg = "cases without a condition each"
        raise Unreadable(msg)
    return Listing(tuple(Group("(", ")", (read(value), _condition(condition, read))) for value, condition in pairs), ",")


def _without_comma(part: list[Token]) -> list[Token]:
    return part[:-1] if part and part[-1].text in (",", ";", ".") else part


def _condition(part: list[Token], read: Callable[[Tokens], Value]) -> Value:
    """A comparison or an equation, or words: *otherwise*, *n is even*."""
    first = part[0].text.strip()
    if part[0].kind == "text" and (match := _IF.match(first)):
        rest = first[match.end() :].strip()
        part = [Token("text", rest), *part[1:]] if rest else part[1:]
    try:
        return read(part)
    except Unreadable:
        return Words(phrases.normal(re.sub(r"[{}]", " ", source(part)).replace("\\text", " ")))
