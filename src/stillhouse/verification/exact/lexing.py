r"""A formula in one spelling -> its tokens, and where its brackets are."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MOST_TOKENS = 600
DEEPEST = 40
"""Brackets within brackets: deeper ones no person writes."""


class Unreadable(Exception):
    """A formula that these rules do not read."""


class Unreasonable(Exception):
    """A formula whose value is beyond any answer's: a power tower, or brackets without end."""


@dataclass(frozen=True, slots=True)
class Token:
    """``kind``: number, name (a letter or a LaTeX command), text (words in LaTeX), word (characters of other scripts) or mark.

    ``spaced``: a space stands before it.
    """

    kind: str
    text: str
    spaced: bool = False


Tokens = Sequence[Token]

_TOKEN = re.compile(
    r"(?P<number>(?:\d+(?:\.\d+|\.(?= ?[-+*/)]))?|\.\d+)(?:[eE][+-]?\d+)?)|\\text ?\{(?P<text>[^{}]*(?:\{[^{}]*\}[^{}]*)*)\}"
    r"|(?P<name>\\[A-Za-z]+|[A-Za-z])"
    r"|(?P<mark>\\[{}|\\]|\{,\}|[-+*/^_(){}\[\]|,;:=<>!%&'.?$¥€£])|(?P<word>[①-⓿]+|[\u3400-\u9fff]+)"
)
WORDS = re.compile(
    r"\b(?:arcsin|arccos|arctan|sinh|cosh|tanh|sqrt|exp|sin|cos|tan|cot|sec|csc|log|ln|lg|pi|infinity|inf|binom|abs|and|or|to|"
    r"oo|max|min)(?![A-Za-z])|(?<=\d)(?:pi|sqrt)(?![A-Za-z])",
    re.IGNORECASE,
)
"""Words of plain notation, which are no product of letters."""
_AS_COMMAND = {"infinity": "\\infty", "inf": "\\infty", "oo": "\\infty", "abs": "\\abs"}
OPENING, CLOSING = {"(": ")", "[": "]", "{": "}", "\\{": "\\}"}, {")", "]", "}", "\\}"}
_LONE_BACKSLASH = re.compile(r"(?<!\\)\\(?=\d)")


def tokens(text: str) -> list[Token]:
    """The tokens. Raises Unreadable on a character no formula has, Unreasonable for too many tokens or brackets too deep."""
    text = _LONE_BACKSLASH.sub("", _words_as_commands(text))
    result: list[Token] = []
    position, spaced = 0, False
    while position < len(text):
        if text[position] == " ":
            position, spaced = position + 1, True
            continue
        match = _TOKEN.match(text, position)
        if match is None:
            msg = f"the character {text[position]!r}"
            raise Unreadable(msg)
        kind = match.lastgroup or ""
        result.append(Token(kind, match[kind], spaced))
        position, spaced = match.end(), False
    if len(result) > MOST_TOKENS:
        msg = f"{len(result):,} tokens"
        raise Unreasonable(msg)
    _check_depth(result)
    return result


def _words_as_commands(text: str) -> str:
    def command(match: re.Match[str]) -> str:
        word = match[0].lower()
        if word in ("and", "or", "to"):
            return f"\\text{{{word}}}"
        return _AS_COMMAND.get(word, f"\\{word}") + " "

    parts = re.split(r"(\\text ?\{[^{}]*\}|\\[A-Za-z]+)", text)
    return "".join(part if number % 2 else WORDS.sub(command, part) for number, part in enumerate(parts))


def _check_depth(listed: Tokens) -> None:
    depth = 0
    for token in listed:
        depth += turn(token)
        if depth > DEEPEST:
            msg = f"brackets {depth} deep"
            raise Unreasonable(msg)


def turn(token: Token) -> int:
    """1 for what opens brackets or a matrix, -1 for what closes them."""
    if token.kind == "mark":
        return (token.text in OPENING) - (token.text in CLOSING)
    return (token.text == "\\begin") - (token.text == "\\end")


def outside_brackets(listed: Tokens) -> list[Token]:
    """The tokens that stand in no brackets, and the closing ones."""
    depth, result = 0, []
    for token in listed:
        depth += turn(token)
        if depth == 0:
            result.append(token)
    return result


def split(listed: Tokens, separators: frozenset[str]) -> list[list[Token]]:
    """The parts between separators outside brackets; texts and marks can be separators. Half-open intervals balance."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in listed:
        depth += turn(token)
        if depth == 0 and separator(token) in separators:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def separator(token: Token) -> str:
    """The token as a separator: a mark or a command itself, a text without its spaces and in lower case."""
    return token.text.strip(" ,").lower() if token.kind in ("text", "word") else token.text if token.kind != "number" else ""


def enclosed(listed: Tokens) -> bool:
    """Whether the first bracket closes at the last token."""
    if len(listed) < 2 or listed[0].text not in OPENING or listed[-1].text not in CLOSING:
        return False
    depth = 0
    for position, token in enumerate(listed):
        depth += turn(token)
        if depth == 0:
            return position == len(listed) - 1
    return False


def source(listed: Tokens) -> str:
    """The tokens as text without spaces: equal texts are equal formulas."""
    return "".join(f"\\text{{{token.text.strip()}}}" if token.kind == "text" else token.text for token in listed)


def cells(listed: Tokens) -> list[list[list[Token]]]:
    r"""The entries of a table's rows: rows end at ``\\``, entries at ``&``; rows without any token are left out."""
    rows: list[list[list[Token]]] = [[[]]]
    for token in listed:
        if token.text == "\\\\":
            rows.append([[]])
        elif token.text == "&":
            rows[-1].append([])
        else:
            rows[-1][-1].append(token)
    return [row for row in rows if any(row)]
