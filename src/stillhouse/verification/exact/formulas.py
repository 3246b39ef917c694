r"""The text of a formula -> its value: lists, sets, tuples, intervals, relations, ratios, number bases, words, expressions.

A text that is read is read to its end: what these rules do not know makes the whole unreadable, and never falls away.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from stillhouse.verification.exact import lexing, numerals, phrases
from stillhouse.verification.exact.determinants import determinant
from stillhouse.verification.exact.expressions import alternatives
from stillhouse.verification.exact.lexing import Token, Tokens, Unreadable, enclosed, outside_brackets, source, split
from stillhouse.verification.exact.matrices import as_tuple, combined, has_matrix
from stillhouse.verification.exact.piecewise import is_piecewise, piecewise
from stillhouse.verification.exact.quantities import quantity
from stillhouse.verification.exact.relations import named_together
from stillhouse.verification.exact.special_forms import special
from stillhouse.verification.exact.spelling import spelled
from stillhouse.verification.exact.values import (
    Builder,
    Combination,
    Ellipsis,
    Group,
    Listing,
    Matrix,
    NamedSet,
    Quantity,
    Ratio,
    Relation,
    Value,
    Words,
)  # fmt: skip

LONGEST = 2_000
"""Most characters of a formula."""

_OR = frozenset({"or", "\\lor", "或", "或者", "ou", "oder"})
_AND = frozenset({"and", "\\land", "和", "与", "且", "以及", "et", "und", "&"})
_SEPARATORS = frozenset({",", ";"}) | _OR | _AND
_RELATIONS = {
    "=": "=", "<": "<", ">": ">", "\\le": "<=", "\\ge": ">=", "\\neq": "!=", "\\approx": "~", "\\in": "in", "\\equiv": "=",
    "\\sim": "~", "\\simeq": "~", "\\cong": "~", ":=": "=",
    "\\to": "->", "\\rightarrow": "->", "\\Rightarrow": "->", "\\mapsto": "->",
}  # fmt: skip
_SET_OPERATORS = {"\\cup": "cup", "\\bigcup": "cup", "\\cap": "cap", "\\setminus": "setminus", "\\backslash": "setminus"}
_NAMED_SETS = re.compile(r"\\mathbb ?\{? ?([RZNQC]) ?\}?(?:\^?\{?[+*]?\}?)")
_MATRIX = re.compile(r"\\begin ?\{([a-zA-Z]*matrix|array)\}(?: ?\{[lcr| ]*\})?(.*)\\end ?\{\1\}", re.DOTALL)
_CASES = re.compile(r"(?:\\\{ ?)?\\begin ?\{(cases|aligned|array|gathered)\}(?: ?\{[lcr| ]*\})?([^&]*)\\end ?\{\1\}\.?", re.DOTALL)


@lru_cache(maxsize=8192)
def read(text: str, *, thousands: bool = True) -> Value:
    """The value of a formula without its delimiters; ``1,234`` outside brackets is one number if ``thousands``, else a list.

    Raises Unreadable, or Unreasonable for one that no person would write.
    """
    if len(text) > LONGEST:
        msg = f"{len(text):,} characters"
        raise lexing.Unreasonable(msg)
    try:
        return _read(re.sub(r"(?<!\.)\.$", "", spelled(text)), thousands=thousands)
    except RecursionError as error:
        msg = "nested too deeply"
        raise lexing.Unreasonable(msg) from error


def _read(one: str, *, thousands: bool) -> Value:
    """The value of a formula in one spelling."""
    if (whole := _before_tokens(one)) is not None:
        return whole
    if thousands:
        one = numerals.with_thousands_joined(one)
    listed = lexing.tokens(phrases.marked(one.replace("{,}", "")))
    if not listed:
        msg = "an empty formula"
        raise Unreadable(msg)
    return _listing(listed)


def _before_tokens(text: str) -> Value | None:
    """What is told by its whole text: a form of its own, a named set, a matrix, a system of equations, words."""
    if (value := special(text)) is not None:
        return value
    if text in ("\\emptyset", "\\text{empty set}"):
        return NamedSet("empty")
    if match := _CASES.fullmatch(text):
        return _system(match[2])
    if (match := _MATRIX.fullmatch(text)) and "\\begin" not in match[2]:
        rows = [row for row in re.split(r"\\\\", match[2]) if row.strip()]
        matrix = Matrix(tuple(tuple(_listing(lexing.tokens(entry.strip())) for entry in row.split("&")) for row in rows))
        return determinant(matrix) if match[1] == "vmatrix" else matrix
    return phrases.words(text)


def _system(text: str) -> Value:
    rows = [row.strip().rstrip(",;.") for row in re.split(r"\\\\", text)]
    items = tuple(_listing(lexing.tokens(phrases.marked(row))) for row in rows if row)
    return items[0] if len(items) == 1 else Listing(items, "and")


def _listing(listed: Tokens) -> Value:
    """A list, or its only item."""
    if listed and listed[0].text == "]" and (group := _group(listed)) is not None:
        return group
    parts = split(listed, _SEPARATORS)
    words = [lexing.separator(token) for token in outside_brackets(listed) if lexing.separator(token) in _SEPARATORS]
    kept = [part for part in parts if part]
    if not kept or not parts[0] or _has_empty_place(parts, words):
        msg = "an empty place in a list"
        raise Unreadable(msg)
    if len(kept) == 1:
        return _item(kept[0])
    word = "or" if set(words) & _OR else "and" if set(words) & _AND else ","
    items: list[Value] = []
    for part in kept:
        item = _item(part)
        items += item.items if isinstance(item, Listing) else [item]
    return _distributed(Listing(tuple(items), word))


def _has_empty_place(parts: Sequence[Tokens], separators: Sequence[str]) -> bool:
    """Whether nothing stands between two commas; a comma before *and*, or at the end, is no place."""
    between = zip(parts[1:], separators, separators[1:], strict=False)
    return any(not part and {before, after} <= {",", ";"} for part, before, after in between)


def _distributed(listing: Listing) -> Listing:
    """``x != -1, 4`` says that x is neither: a bare value after a relation takes over its left side."""
    items: list[Value] = []
    last: Relation | None = None
    for item in listing.items:
        if isinstance(item, Relation):
            last = item if item.operators == ("!=",) else None
        if last is not None and isinstance(item, Quantity):
            items.append(Relation((last.members[0], item), ("!=",), (last.texts[0], "")))
        else:
            items.append(item)
    return Listing(tuple(items), listing.word)


def _item(listed: Tokens) -> Value:
    """One member of a list: a relation, a combination of sets, or something smaller."""
    listed = phrases.without_qualifier(listed)
    if not listed:
        msg = "an empty place in a formula"
        raise Unreadable(msg)
    marks = [lexing.separator(token) for token in outside_brackets(listed)]
    operators = [mark for mark in marks if mark in _RELATIONS]
    if operators:
        parts = split(listed, frozenset(_RELATIONS))
        return _relation(parts, operators)
    set_operators = [mark for mark in marks if mark in _SET_OPERATORS]
    if set_operators:
        parts = split(listed, frozenset(_SET_OPERATORS))
        return Combination(tuple(_simple(part) for part in parts), tuple(_SET_OPERATORS[operator] for operator in set_operators))
    return _simple(listed)


def _relation(parts: list[list[Token]], operators: list[str]) -> Value:
    if not parts[0] and operators[0] in ("=", "\\approx") and len(parts) == 2 and parts[1]:
        return _simple(parts[1])
    if not all(parts):
        msg = "a relation without a side"
        raise Unreadable(msg)
    signs = tuple(_RELATIONS[operator] for operator in operators)
    members = [_item(part) if sign == "in" else _member(part) for part, sign in zip(parts, ("", *signs), strict=True)]
    if signs == ("=",) and (pairs := _named_tuple(members, parts[0])) is not None:
        return pairs
    choices = [member.items for member in members if isinstance(member, Listing)]
    texts = tuple(re.sub(r"^\{(\\?[A-Za-z]+)\}", r"\1", source(part)) for part in parts)
    if set(signs) == {"="} and (named := named_together(members, texts)) is not None:
        return named
    if not choices:
        return Relation(tuple(members), signs, texts)
    relations = [
        Relation(tuple(member.items[side] if isinstance(member, Listing) else member for member in members), signs, texts)
        for side in range(2)
    ]
    return Listing(tuple(relations), "and" if "!=" in signs else "or")


def _named_tuple(members: list[Value], names: list[Token]) -> Value | None:
    """``(x, y) = (1, 2)`` as a tuple of ``x = 1`` and ``y = 2``; None for other relations."""
    left, right = map(as_tuple, members)
    if not isinstance(left, Group) or not isinstance(right, Group) or len(left.items) != len(right.items):
        return None
    if not all(isinstance(item, Quantity) and item.expression.kind == "symbol" for item in left.items):
        return None
    texts = [item.expression.name for item in left.items if isinstance(item, Quantity)]
    if members[0] is left:
        texts = [source(part) for part in split(names[1:-1], frozenset({",", ";"}))]
    pairs = zip(left.items, right.items, texts, strict=True)
    return Group("(", ")", tuple(Relation((name, value), ("=",), (text, "")) for name, value, text in pairs))


def _member(listed: Tokens) -> Value:
    """A side of a relation: words are allowed for a left side's name."""
    try:
        return _simple(listed)
    except Unreadable:
        if any(token.kind == "text" for token in listed) and all(token.kind in ("text", "name") for token in listed):
            return Words(source(listed).lower())
        raise


def _simple(listed: Tokens) -> Value:
    if not listed:
        msg = "an empty place in a formula"
        raise Unreadable(msg)
    if (named := _named(source(listed))) is not None:
        return named
    if has_matrix(listed):
        return piecewise(listed, _listing) if is_piecewise(listed) else combined(listed)
    if (group := _group(listed)) is not None:
        return group
    ratio = split(listed, frozenset({":", "to"}))
    if len(ratio) > 1 and all(ratio):
        return Ratio(tuple(_simple(part) for part in ratio), source(listed))
    return _quantity(listed)


def _named(text: str) -> Value | None:
    """Dots, and sets that have a name."""
    if text == "\\ldots":
        return Ellipsis()
    if text == "\\emptyset":
        return NamedSet("empty")
    match = _NAMED_SETS.fullmatch(text)
    return NamedSet(match[1]) if match else None


def _quantity(listed: Tokens) -> Value:
    result = quantity(listed)
    choices = alternatives(result.expression)
    if len(choices) == 1:
        return result
    return Listing(tuple(Quantity(choice, result.unit, result.percent) for choice in choices), "or")


def _group(listed: Tokens) -> Value | None:
    """Brackets around several items; a set also around one. None for other brackets, which are part of an expression."""
    opening, closing = listed[0].text, listed[-1].text
    if opening == "]" and closing in "[]" and len(listed) > 2:
        return _grouped("(", ")" if closing == "[" else "]", listed[1:-1])
    if closing == "[" and opening in ("(", "[") and len(listed) > 2:
        return _grouped(opening, ")", listed[1:-1])
    if not enclosed(listed):
        return None
    inside = list(listed[1:-1])
    if opening == "{":
        return _listing(inside)
    if opening == "\\{":
        return _set(inside)
    return _grouped(opening, closing, inside)


def _grouped(opening: str, closing: str, inside: Tokens) -> Value | None:
    parts = split(inside, frozenset({",", ";"}))
    if len(parts) < 2:
        return None
    if not all(parts):
        msg = "an empty place in brackets"
        raise Unreadable(msg)
    return _both_signs(Group(opening, closing, tuple(_item(part) for part in parts)))


def _both_signs(group: Group) -> Value:
    r"""``(1, \pm 2)`` as two points; other groups as they are."""
    places = [place for place, item in enumerate(group.items) if isinstance(item, Listing) and len(item.items) == 2]
    if len(places) != 1 or group.opening != "(":
        return group
    signed = group.items[places[0]]
    assert isinstance(signed, Listing)
    before, after = group.items[: places[0]], group.items[places[0] + 1 :]
    return Listing(tuple(Group("(", group.closing, (*before, item, *after)) for item in signed.items), "or")


def _set(inside: Tokens) -> Value:
    if not inside:
        return NamedSet("empty")
    for bar in ("|", ":"):
        sides = split(inside, frozenset({bar}))
        if len(sides) == 2 and all(sides):
            return _builder(*sides)
    items = _listing(inside)
    return Group("{", "}", items.items if isinstance(items, Listing) else (items,))


def _builder(left: Tokens, right: Tokens) -> Value:
    variable = _item(left)
    conditions = _listing(right)
    listed = conditions.items if isinstance(conditions, Listing) and conditions.word != "or" else (conditions,)
    if isinstance(variable, Relation) and variable.operators == ("in",):
        if not (isinstance(variable.members[1], NamedSet) and variable.members[1].name == "R"):
            listed = (*listed, variable)
        return Builder(variable.texts[0], listed)
    return Builder(source(left), listed)
