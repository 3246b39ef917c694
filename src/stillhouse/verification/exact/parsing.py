r"""LaTeX of plain mathematics -> values: numbers, sums of roots and letters, tuples, sets and intervals of them.

Read is only what math-verify reads in one way. Its ways are kept where they surprise: ``1,234`` is one number, in brackets it is
two; ``(1,2)`` is an interval and ``(2,1)`` a tuple; a letter after a digit may be taken for a unit (``3m``), so letters that may
are not read.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from stillhouse.verification.exact import algebra
from stillhouse.verification.exact.algebra import Sum, Unsure

LONGEST = 200
"""Characters of a plain answer; what is longer is none."""
DIGITS = 15
LETTERS = "aknpquvwxyz"
"""Letters that are no unit, no constant and no function to math-verify."""
LARGEST_EXPONENT = 12
INFINITY, PI = "oo", "pi"


@dataclass(frozen=True)
class Number:
    """``decimal``: written with a point, so compared to six places. ``percent``: a hundredth of ``terms`` is meant.

    ``computed``: not written as one number, so that math-verify may not see a whole number in it.
    """

    terms: Sum
    decimal: bool = False
    percent: bool = False
    computed: bool = False


@dataclass(frozen=True)
class NumberGroup:
    """``kind``: set, tuple or interval. ``open_ends`` of an interval: left and right."""

    kind: str
    items: tuple[Number, ...]
    open_ends: tuple[bool, bool] = (False, False)


Value = Number | NumberGroup

_INTEGER = rf"(?:0|[1-9][0-9]{{0,{DIGITS - 1}}})"
_THOUSANDS = r"[1-9][0-9]{0,2}(?:,[0-9]{3}){1,3}"
_DECIMAL = r"(?:(?:0|[1-9][0-9]{0,6})?\.[0-9]{1,8}|[1-9][0-9]{0,2}(?:,[0-9]{3}){1,2}\.[0-9]{1,8})"
_PLAIN = re.compile(rf"([+-]? ?)(?:(?P<whole>{_THOUSANDS}|{_INTEGER})|(?P<decimal>{_DECIMAL}))(?P<percent> ?\\?%)?")
_MIXED = re.compile(r"(-? ?)([1-9][0-9]{0,5}) ?\\frac\{([1-9][0-9]{0,5})\}\{([1-9][0-9]{0,5})\}")
_SLASH = re.compile(r"(-?[0-9]{1,9})/([1-9][0-9]{0,8})")
_UNIT = re.compile(
    r"(?<=[0-9}])(?:\\[,;: ]| )?\\(?:text|mathrm(?!\{ ?[Td]))\{ ?(?P<words>[A-Za-z]+(?: [A-Za-z]+)*) ?\}(?:\^[23]|\^\{[23]\})?$"
)
_UNIT_WITH_A_MEANING = re.compile(r"inf|percent|pct|\b(?:and|or|th)\b", re.IGNORECASE)
_DEGREES = re.compile(r"(?<=[0-9}]) ?(?:\^\\circ|\^\{\\circ\})$")
_TRAILING_SPACE = re.compile(r"(?:\\[,;:]|\\quad)$")
_TOKEN = re.compile(rf" *(\\frac|\\sqrt|\\cdot|\\times|\\pi|[{LETTERS}]|{_INTEGER}(?![0-9])|[-+^(){{}}])")
# math-verify joins a digit after a closing brace to an earlier \frac.
_DIGIT_AFTER_BRACE = re.compile(r"\} ?[0-9]")
_TWO_DIGIT_FRACTION = re.compile(r"\\frac ?([0-9])([0-9])(?![0-9])")
_ONE_DIGIT_ROOT = re.compile(r"\\sqrt([0-9])(?![0-9])")
_WRITTEN_OTHERWISE = (("\\dfrac", "\\frac"), ("\\tfrac", "\\frac"), ("\\left\\{", "\\{"), ("\\right\\}", "\\}"), ("\\!", ""),
                      ("\\left", ""), ("\\right", ""), ("{,}", ","))  # fmt: skip


def read(text: str) -> Value | None:
    """The value of a formula without its delimiters; None where it is not certain what math-verify would read."""
    if not text.strip() or len(text) > LONGEST or (text != text.rstrip() and _UNIT.search(text.rstrip())):
        # A unit is one to math-verify only at the very end.
        return None
    try:
        return _value(_uniform(text.strip()))
    except Unsure:
        return None


def read_bare(text: str) -> Value | None:
    """The same of text without any LaTeX, which math-verify reads by other rules: a whole number, a decimal, a fraction."""
    if text.startswith("+") or (found := _PLAIN.fullmatch(text)) is None:
        fraction = _SLASH.fullmatch(text)
        # What cancels to a whole number stays a quotient there, and is no integer to its rule for percents.
        if fraction is None or int(fraction[1]) % int(fraction[2]) == 0:
            return None
        return Number(algebra.constant(Fraction(int(fraction[1]), int(fraction[2]))))
    if " " in text or found["percent"] or text.startswith("-."):
        return None
    return _plain_number(found)


def _uniform(text: str) -> str:
    r"""One spelling: ``\dfrac`` as ``\frac``, no ``\left`` and ``\right``, no unit, no currency."""
    for there, instead in _WRITTEN_OTHERWISE:
        text = text.replace(there, instead)
    text = _TWO_DIGIT_FRACTION.sub(r"\\frac{\1}{\2}", text)
    text = _ONE_DIGIT_ROOT.sub(r"\\sqrt{\1}", text)
    text = re.sub(r"^(-?)\\\$", r"\1", text)
    unit = _UNIT.search(text)
    if unit and _UNIT_WITH_A_MEANING.search(unit["words"]):
        raise Unsure
    bare = _TRAILING_SPACE.sub("", _DEGREES.sub("", text[: unit.start()] if unit else text)).strip()
    if "," in bare and text[len(bare) :].lstrip().startswith(("\\,", "\\;", "\\:", "\\quad", "^")):
        # What follows a number with a comma can make two of it.
        raise Unsure
    return bare


def _value(text: str) -> Value:
    if "," not in text or _PLAIN.fullmatch(text):
        return _number(text)
    if text.startswith("\\{") and text.endswith("\\}"):
        return NumberGroup("set", _items(text[2:-2]))
    if text[0] in "([" and text[-1] in ")]" and text[1:-1].count("(") == text[1:-1].count(")"):
        return _bracketed(_items(text[1:-1]), (text[0] == "(", text[-1] == ")"))
    if re.search(r"[0-9],[0-9]{3}(?![0-9])", text) or re.match(r"0[0-9]*,", text):
        # Thousands, or a decimal comma: which, math-verify decides digit by digit.
        raise Unsure
    return NumberGroup("set", _items(text))


def _items(text: str) -> tuple[Number, ...]:
    parts = text.split(",")
    if len(parts) < 2 or any(part.count("{") != part.count("}") for part in parts):
        raise Unsure
    return tuple(_item(part.strip()) for part in parts)


def _item(text: str) -> Number:
    if text in {"\\infty", "+\\infty", "-\\infty"}:
        return Number(algebra.add({}, algebra.letter(INFINITY), -1 if text[0] == "-" else 1))
    made = _number(text)
    if made.percent:
        raise Unsure
    return made


def _bracketed(items: tuple[Number, ...], open_ends: tuple[bool, bool]) -> NumberGroup:
    """Two numbers are an interval if they can be one, else a tuple (so does latex2sympy2)."""
    if len(items) > 2:
        if open_ends[0] != open_ends[1]:
            raise Unsure
        return NumberGroup("tuple", items)
    left, right = (size(item) for item in items)
    if left == float("inf") or right == -float("inf"):
        raise Unsure
    if abs(left - right) < 1e-9 and open_ends != (True, True):
        raise Unsure
    if right <= left:
        if open_ends[0] != open_ends[1]:
            raise Unsure
        return NumberGroup("tuple", items)
    return NumberGroup("interval", items, (open_ends[0] or left == -float("inf"), open_ends[1] or right == float("inf")))


def size(item: Number) -> float:
    """Where an item stands on the line of numbers. Raises Unsure for one with letters."""
    names = algebra.letters(item.terms)
    if names == {INFINITY}:
        return float("inf") if next(iter(item.terms.values())) > 0 else -float("inf")
    if names:
        raise Unsure
    return algebra.approximate(item.terms)


def _number(text: str) -> Number:
    if found := _PLAIN.fullmatch(text):
        return _plain_number(found)
    if found := _MIXED.fullmatch(text):
        amount = int(found[2]) + Fraction(int(found[3]), int(found[4]))
        return Number(algebra.constant(-amount if found[1] else amount))
    if found := _SLASH.fullmatch(text):
        return Number(algebra.constant(Fraction(int(found[1]), int(found[2]))))
    if "\\frac" in text and _DIGIT_AFTER_BRACE.search(text):
        raise Unsure
    return Number(_Reader(text).read(), computed=True)


def _plain_number(found: re.Match[str]) -> Number:
    digits = (found["whole"] or found["decimal"]).replace(",", "")
    sign = -1 if found[1].startswith("-") else 1
    if (found["percent"] and (found[1] or "," in found[0])) or (found[1] not in ("", "-") and "," in found[0]):
        raise Unsure
    value = algebra.constant(sign * Fraction(digits if digits[0] != "." else f"0{digits}"))
    # "0.5" and ".5" alone become the fraction, see math-verify's normalisation.
    decimal = found["decimal"] is not None and found[0] not in {"0.5", ".5"}
    return Number(value, decimal, found["percent"] is not None)


class _Reader:
    """A reader of one sum, left to right."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._place = 0

    def read(self) -> Sum:
        """The whole formula as a sum. Raises Unsure."""
        made = self._sum()
        if self._next():
            raise Unsure
        return made

    def _next(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _take(self, wanted: str = "") -> str:
        token = self._next()
        if not token or (wanted and token != wanted):
            raise Unsure
        self._place += 1
        return token

    def _sum(self) -> Sum:
        made: Sum = {}
        sign = 1
        if self._next() in ("+", "-"):
            sign = -1 if self._take() == "-" else 1
        while True:
            made = algebra.add(made, self._product(), sign)
            if self._next() not in ("+", "-"):
                return made
            sign = -1 if self._take() == "-" else 1

    def _product(self) -> Sum:
        made = self._factor()
        while self._next() not in ("", "+", "-", ")", "}"):
            explicit = self._next() in ("\\cdot", "\\times")
            if explicit:
                self._take()
            elif self._next().isdigit() or self._next() == "\\frac" or (self._next() == "(" and self._after_letter()):
                # A number after a factor, a mixed number, a function's argument: read in more than one way.
                raise Unsure
            made = algebra.multiply(made, self._factor())
        return made

    def _after_letter(self) -> bool:
        before = self._tokens[self._place - 1]
        return before in LETTERS or before == "\\pi"

    def _factor(self) -> Sum:
        token = self._take()
        if token == "\\frac":
            above = self._braced()
            below = self._braced()
            return algebra.multiply(above, algebra.inverse(below))
        if token == "\\sqrt":
            inside = algebra.rational(self._braced())
            if inside is None or inside.denominator != 1:
                raise Unsure
            return algebra.root(inside.numerator)
        if token == "(":
            base = self._sum()
            self._take(")")
        elif token == "\\pi":
            base = algebra.letter(PI)
        elif token.isdigit():
            base = algebra.constant(int(token))
        elif token in LETTERS:
            base = algebra.letter(token)
        else:
            raise Unsure
        return algebra.power(base, self._exponent()) if self._next() == "^" else base

    def _braced(self) -> Sum:
        self._take("{")
        made = self._sum()
        self._take("}")
        return made

    def _exponent(self) -> int:
        self._take("^")
        braced = self._next() == "{"
        if braced:
            self._take()
        token = self._take()
        if braced:
            self._take("}")
        if not token.isdigit() or (len(token) > 1 and not braced) or not 0 < int(token) <= LARGEST_EXPONENT:
            raise Unsure
        return int(token)


def _tokens(text: str) -> list[str]:
    tokens, place = [], 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise Unsure
        tokens.append(found[1])
        place = found.end()
    return tokens
