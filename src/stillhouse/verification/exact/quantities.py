r"""Tokens -> an expression with its unit: ``5 \text{ cm}``, ``3 million``, ``45^\circ``, ``62.5\%``, ``\text{twenty}``, ``5元``."""

import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from stillhouse.verification.exact.expression_reader import expression
from stillhouse.verification.exact.expressions import Expression
from stillhouse.verification.exact.lexing import Token, Tokens, Unreadable
from stillhouse.verification.exact.number_words import number_in_words
from stillhouse.verification.exact.units import COUNTED, LONE_LETTERS, MULTIPLIERS, UNITS, unit_of
from stillhouse.verification.exact.values import Quantity

_ORDINALS = frozenset({"st", "nd", "rd", "th"})
_OF_UNITS = frozenset({"^", "{", "}", "/", "\\cdot", "*", "-", "(", ")"})
_SPELLED = {"\\circ": "°", "\\cdot": " ", "\\mu": "µ", "\\Omega": "Ω", "{": "", "}": "", "(": "", ")": ""}
_CURRENCIES = frozenset("$¥€£")
_CURRENCY_UNITS = frozenset({*_CURRENCIES, "₹", "yen"})
_ANGLES = frozenset({"sin", "cos", "tan", "cot", "sec", "csc", "cis"})


def quantity(listed: Tokens) -> Quantity:
    """The expression and the unit. Raises Unreadable for words that may change the value, Unreasonable as ``expression``."""
    rest, currency = _without_currency(listed)
    if rest and rest[-1].text == "." and len(rest) > 1:
        rest.pop()
    if not rest:
        msg = "an empty formula"
        raise Unreadable(msg)
    percent = rest[-1].text == "%" and len(rest) > 1
    if percent:
        rest.pop()
    if percent and rest[-1].text == "%":
        msg = "a percent sign twice"
        raise Unreadable(msg)
    rest, factor = _without_words(rest)
    number, unit, lone = _without_unit(rest)
    number, further = _without_words(number)
    factor *= further
    if len(number) == 1 and number[0].kind == "word" and (counted := _counted(number[0].text)) is not None:
        return counted
    value = _in_words(number) or expression(number)
    if factor != 1:
        value = Expression("*", (value, Expression("number", value=Fraction(factor))))
    return Quantity(value, unit or currency, percent, _product(rest) if lone else None)


def _without_currency(listed: Tokens) -> tuple[list[Token], str]:
    r"""The tokens without currency signs and a currency's name before the number, and the currency: ``\$5``, ``USD 5``."""
    signs = [token.text for token in listed if token.text in _CURRENCIES]
    before_numbers = [one for one, next_one in pairwise(listed) if one.text in _CURRENCIES and next_one.kind == "number"]
    if len(signs) > max(1, len(before_numbers)):
        msg = "a currency's sign twice"
        raise Unreadable(msg)
    rest = [token for token in listed if token.text not in _CURRENCIES]
    named = UNITS.get(rest[0].text.strip(), "") if len(rest) > 1 and rest[0].kind == "text" else ""
    if named in _CURRENCY_UNITS:
        return rest[1:], named
    return rest, signs[0] if signs else ""


def _product(listed: Tokens) -> Expression | None:
    """The reading of a lone letter as a factor."""
    try:
        return expression(listed)
    except Unreadable:
        return None


def _counted(text: str) -> Quantity | None:
    """A Chinese number with what it counts: 五个."""
    match = re.fullmatch(r"([零〇一二两三四五六七八九十百千万]+)(.+)", text)
    unit = unit_of(match[2]) if match and (match[2] in UNITS or match[2] in COUNTED) else None
    number = number_in_words(match[1]) if match and unit is not None else None
    return None if number is None else Quantity(Expression("number", value=number), unit or "")


def _in_words(listed: Tokens) -> Expression | None:
    if len(listed) != 1 or listed[0].kind not in ("text", "word"):
        return None
    number = number_in_words(listed[0].text)
    return None if number is None else Expression("number", value=number)


def _without_words(listed: Sequence[Token]) -> tuple[list[Token], int]:
    """The tokens before an ordinal's letters or a multiplier such as *million*, and what it multiplies by."""
    rest, factor = list(listed), 1
    if len(rest) > 2 and rest[-2].text == "^" and rest[-1].kind == "text" and rest[-1].text.strip() in _ORDINALS:
        return rest[:-2], 1
    if len(rest) > 4 and rest[-1].text == "}" and rest[-4].text == "^" and rest[-2].text.strip() in _ORDINALS:
        return rest[:-4], 1
    while len(rest) > 1 and rest[-1].kind in ("text", "word"):
        first, _, others = rest[-1].text.strip().partition(" ")
        if first in _ORDINALS and not others and rest[-2].kind == "number":
            return rest[:-1], factor
        # 千米 is no multiple of 米.
        if rest[-1].kind == "word" and first[0] in MULTIPLIERS and first not in UNITS:
            first, others = first[0], first[1:]
        if first.lower() not in MULTIPLIERS:
            break
        factor *= MULTIPLIERS[first.lower()]
        rest = [*rest[:-1], Token(rest[-1].kind, others, spaced=True)] if others else rest[:-1]
        if others:
            break
    return rest, factor


def _without_unit(listed: list[Token]) -> tuple[list[Token], str, bool]:
    """The tokens before the unit, the unit, and whether it is a lone letter that may be a factor."""
    for start in range(1, len(listed)):
        suffix = listed[start:]
        opened = [token.text for token in suffix]
        if opened.count("(") != opened.count(")") or opened.count("{") != opened.count("}"):
            continue
        if not _may_start(listed, start) or not all(_may_be_of_unit(token) for token in suffix):
            continue
        if suffix[0].text == "^" and any(token.text.strip(" \\") in _ANGLES for token in listed):
            continue
        symbol = _symbol(suffix)
        if symbol is None:
            continue
        letters = all(token.kind == "name" for token in suffix)
        lone = letters and len(suffix) == 1
        if lone and not (suffix[0].spaced and suffix[0].text in LONE_LETTERS):
            continue
        return listed[:start], symbol, all(token.kind != "text" for token in suffix) and suffix[0].text not in ("^",)
    return listed, "", False


def _may_start(listed: list[Token], start: int) -> bool:
    """Whether a unit may begin here: after a value, and with a word, a letter or a degree sign."""
    before, first = listed[start - 1], listed[start]
    is_value = before.kind in ("number", "text", "word") or before.text in (")", "}", "]", "!") or before.text == "\\pi"
    if first.text == "^":
        return is_value and start + 1 < len(listed) and listed[start + 1].text == "\\circ"
    return (is_value or before.kind == "name") and (
        first.kind in ("text", "word") or (first.kind == "name" and before.kind != "name" and first.text not in ("e", "i"))
    )


def _may_be_of_unit(token: Token) -> bool:
    if token.kind in ("text", "word"):
        return True
    if token.kind == "name":
        return not token.text.startswith("\\") or token.text in _SPELLED
    return token.text in _OF_UNITS or (token.kind == "number" and token.text in ("1", "2", "3", "4"))


def _symbol(suffix: list[Token]) -> str | None:
    """The unit's symbol; letters of plain notation are a unit only if they are in the table."""
    if suffix[0].text == "^" and len(suffix) == 2:
        return "deg"
    shown = ""
    for token in suffix:
        text = token.text if token.kind in ("text", "word") else _SPELLED.get(token.text, token.text)
        shown += f" {text}" if token.spaced or (token.kind == "text" and not shown.endswith(("/", " "))) else text
    shown = shown.replace("^°", "°").replace("° ", "°").replace("^ ", "^").strip()
    if all(token.kind != "text" for token in suffix) and suffix[0].kind == "name":
        return (
            unit_of(shown) if shown.replace(" ", "") and shown.split("/")[0].split("^")[0].strip().split(" ")[0] in UNITS else None
        )
    return unit_of(shown)
