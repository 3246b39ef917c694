r"""What is told by its whole text: a number base, a time of day, ``2 h 30 min``, a congruence."""

import re
from fractions import Fraction
from itertools import pairwise

from stillhouse.verification.exact import lexing, phrases
from stillhouse.verification.exact.expressions import Expression, number
from stillhouse.verification.exact.quantities import quantity
from stillhouse.verification.exact.units import UNITS
from stillhouse.verification.exact.values import Congruence, InBase, Quantity, Ratio, Value

_BASE_WORDS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12, "sixteen": 16,
}  # fmt: skip
_IN_BASE = re.compile(
    r"\(?(?:\\text ?\{ ?([0-9A-Za-z]+) ?\}|([0-9][0-9A-Fa-f]*|[A-Fa-f][0-9A-Fa-f]*[0-9][0-9A-Fa-f]*"
    r"|[A-F]{2,8}(?=\)? ?_ ?\{? ?\(?16))|\{([0-9A-Fa-f]+)\})\)? ?_ ?"
    r"(?:\{? ?\(?(?:\\text ?\{ ?)?([a-z]+|\d+) ?\}? ?\)?\}?)"
)
_PREFIXED = re.compile(r"0([xob])([0-9A-Fa-f]+)", re.IGNORECASE)
_PREFIXES = {"x": 16, "o": 8, "b": 2}
_CLOCK = re.compile(
    r"(\d{1,2}) ?: ?([0-5]\d)(?: ?: ?([0-5]\d))? ?((?:\\text ?\{ ?)?(?:[ap]\.? ?m\.?|noon|midnight)(?: ?\})?)?", re.IGNORECASE
)
_CONGRUENCE = re.compile(
    r"(?:([^=<>]*?) ?(?:\\equiv|=) ?)?([^=<>()]+?) ?\(? ?(?:\\[pb]?mod|\\text ?\{ ?mod ?\}|\bmod\b) ?\{? ?([^{}()]+?) ?\}? ?\)?"
)
_MARKS = r"'{1,2}|\"|\^ ?\{? ?(?:\\prime ?){1,2}\}?|\^ ?\\circ"
_PART = re.compile(
    rf"(\d+(?:\.\d+)?) ?(?:\\text ?\{{ ?([A-Za-z]+)\.? ?(?:and|,)? ?\}}|([A-Za-z]+|[\u3400-\u9fff]{{1,2}})|({_MARKS}))"
    r"(?: ?(?:,|\\text ?\{ ?(?:and|,) ?\}|\band\b))? ?"
)
_IN_TEXT = re.compile(r"\\text ?\{([^{}]*)\}")
_SIZES = [
    {"week": 604_800, "d": 86_400, "h": 3600, "min": 60, "s": 1}, {"mi": 63_360, "yd": 36, "ft": 12, "in": 1},
    {"lb": 16, "oz": 1}, {"km": 10**6, "m": 1000, "dm": 100, "cm": 10, "mm": 1}, {"t": 10**6, "kg": 1000, "g": 1},
    {"L": 1000, "mL": 1}, {"deg": 3600, "arcmin": 60, "arcsec": 1}, {"$": 100, "¢": 1}, {"yr": 12, "month": 1},
]  # fmt: skip
"""Units that are named one after another, and how large they are."""


def special(text: str) -> Value | None:
    """The value of a formula in one spelling; None if it is nothing of this kind."""
    if (match := _IN_BASE.fullmatch(text)) and (base := _base(match[4])):
        return InBase((match[1] or match[2] or match[3]).upper().lstrip("0") or "0", base)
    if match := _PREFIXED.fullmatch(text):
        return InBase(match[2].upper().lstrip("0") or "0", _PREFIXES[match[1].lower()])
    if (match := _CLOCK.fullmatch(text)) and int(match[1]) < 25:
        parts = tuple(Quantity(number(part)) for part in match.groups()[:3] if part)
        said = re.sub(r"\\text", "", match[4] or "").lower()
        half = "pm" if "noon" in said else "am" if "midnight" in said else re.sub(r"[^apm]", "", said)
        return Ratio(parts, re.sub(r"\s|^0(?=\d)", "", text[: match.end(3) if match[3] else match.end(2)]), clock=True, half=half)
    if "mod" in text and (match := _CONGRUENCE.fullmatch(text)):
        return Congruence((match[1] or "").replace(" ", ""), _quantity(match[2]), _quantity(match[3]))
    return _in_several_units(match[1].strip() if (match := _IN_TEXT.fullmatch(text)) else text)


def _base(text: str) -> int | None:
    base = int(text) if text.isdigit() else _BASE_WORDS.get(text, 0)
    return base if 2 <= base <= 36 else None


def _quantity(text: str) -> Quantity:
    return quantity(lexing.tokens(phrases.marked(text)))


def _in_several_units(text: str) -> Quantity | None:
    """``2 h 30 min`` in its first unit; None unless every unit is smaller than the one before it and of its kind."""
    position, parts = 0, list[tuple[Fraction, str]]()
    while match := _PART.match(text, position):
        parts.append((Fraction(match[1]), _unit(match, [unit for _, unit in parts])))
        position = match.end()
    if len(parts) < 2 or position < len(text):
        return None
    units = [unit for _, unit in parts]
    sizes = next((sizes for sizes in _SIZES if sizes.keys() >= set(units)), None)
    if sizes is None or any(sizes[later] >= sizes[earlier] for earlier, later in pairwise(units)):
        return None
    total = sum((count * sizes[unit] for count, unit in parts), Fraction(0)) / sizes[units[0]]
    return Quantity(Expression("number", value=total), units[0])


def _unit(match: re.Match[str], earlier: list[str]) -> str:
    """The symbol of a part's unit; *m* after hours is minutes, and marks are of angles only after degrees."""
    if match[4]:
        marks = match[4].count("'") + match[4].count("prime") + 2 * match[4].count('"')
        names = ("deg", "arcmin", "arcsec") if not marks or "deg" in earlier else ("", "ft", "in")
        return names[marks]
    word = match[2] or match[3]
    return "min" if word in ("m", "分") and "h" in earlier else UNITS.get(word, UNITS.get(word.lower(), word))
