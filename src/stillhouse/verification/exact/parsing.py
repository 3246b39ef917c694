r"""LaTeX of plain mathematics -> values: numbers, sums of roots and letters, tuples, sets and intervals of them.

Only formulas that math-verify reads in one way are read, and in the same way even if it surprises: ``1,234`` is one number, in
brackets it is two; ``(1,2)`` is an interval and ``(2,1)`` a tuple. A letter after a digit may be taken for a unit (``3m``), so
formulas with such letters are not read.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from stillhouse.verification.exact import algebra
from stillhouse.verification.exact.algebra import Sum, Unsure

LONGEST = 200
"""Most characters of a plain answer."""
DIGITS = 15
LETTERS = "aknpquvwxyz"
"""Letters that math-verify takes for neither a unit nor a constant nor a function."""
LARGEST_EXPONENT = 12
INFINITY, PI = "oo", "pi"


@dataclass(frozen=True)
class Number:
    """``decimal``: written with a decimal point, so compared to six places. ``percent``: the value is a hundredth of ``terms``.

    ``computed``: not written as a single number, so math-verify may not recognise a whole number in it.
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
_SPELLINGS = (("\\dfrac", "\\frac"), ("\\tfrac", "\\frac"), ("\\left\\{", "\\{"), ("\\right\\}", "\\}"), ("\\!", ""),
                      ("\\left", ""), ("\\right", ""), ("{,}", ","))  # fmt: skip


def read(text: str) -> Value | None:
    """The value of a formula without its delimiters; None if it is not certain how math-verify reads it."""
    if not text.strip() or len(text) > LONGEST or (text != text.rstrip() and _UNIT.search(text.rstrip())):
        # math-verify recognises a unit only at the very end.
        return None
    try:
        return _value(_uniform(text.strip()))
    except Unsure:
        return None


def read_bare(text: str) -> Value | None:
    """The same for text without LaTeX, which math-verify reads by other rules: a whole number, a decimal, a fraction."""
    if text.startswith("+") or (plain := _PLAIN.fullmatch(text)) is None:
        fraction = _SLASH.fullmatch(text)
        # In math-verify a quotient that cancels to a whole number stays a quotient, which its rule for percents ignores.
        if fraction is None or int(fraction[1]) % int(fraction[2]) == 0:
            return None
        return Number(algebra.constant(Fraction(int(fraction[1]), int(fraction[2]))))
    if " " in text or plain["percent"] or text.startswith("-."):
        return None
    return _plain_number(plain)


def _uniform(text: str) -> str:
    r"""One spelling: ``\dfrac`` as ``\frac``, no ``\left`` and ``\right``, no unit, no currency."""
    for spelling, replacement in _SPELLINGS:
        text = text.replace(spelling, replacement)
    text = _TWO_DIGIT_FRACTION.sub(r"\\frac{\1}{\2}", text)
    text = _ONE_DIGIT_ROOT.sub(r"\\sqrt{\1}", text)
    text = re.sub(r"^(-?)\\\$", r"\1", text)
    unit = _UNIT.search(text)
    if unit and _UNIT_WITH_A_MEANING.search(unit["words"]):
        raise Unsure
    bare = _TRAILING_SPACE.sub("", _DEGREES.sub("", text[: unit.start()] if unit else text)).strip()
    if "," in bare and text[len(bare) :].lstrip().startswith(("\\,", "\\;", "\\:", "\\quad", "^")):
        # Text after a number with a comma may split it into two numbers.
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
        # Thousands or a decimal comma? math-verify decides that digit by digit.
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
    number = _number(text)
    if number.percent:
        raise Unsure
    return number


def _bracketed(items: tuple[Number, ...], open_ends: tuple[bool, bool]) -> NumberGroup:
    """Two numbers are an interval if they can form one, else a tuple (as in latex2sympy2)."""
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
    """An item's position on the number line, infinities included. Raises Unsure for an item with letters."""
    names = algebra.letters(item.terms)
    if names == {INFINITY}:
        return float("inf") if next(iter(item.terms.values())) > 0 else -float("inf")
    if names:
        raise Unsure
    return algebra.approximate(item.terms)


def _number(text: str) -> Number:
    if plain := _PLAIN.fullmatch(text):
        return _plain_number(plain)
    if mixed := _MIXED.fullmatch(text):
        amount = int(mixed[2]) + Fraction(int(mixed[3]), int(mixed[4]))
        return Number(algebra.constant(-amount if mixed[1] else amount))
    if fraction := _SLASH.fullmatch(text):
        return Number(algebra.constant(Fraction(int(fraction[1]), int(fraction[2]))))
    if "\\frac" in text and _DIGIT_AFTER_BRACE.search(text):
        raise Unsure
    return Number(_Reader(text).read(), computed=True)


def _plain_number(plain: re.Match[str]) -> Number:
    digits = (plain["whole"] or plain["decimal"]).replace(",", "")
    sign = -1 if plain[1].startswith("-") else 1
    if (plain["percent"] and (plain[1] or "," in plain[0])) or (plain[1] not in ("", "-") and "," in plain[0]):
        raise Unsure
    value = algebra.constant(sign * Fraction(digits if digits[0] != "." else f"0{digits}"))
    # math-verify's normalisation turns exactly "0.5" and ".5" into a fraction.
    decimal = plain["decimal"] is not None and plain[0] not in {"0.5", ".5"}
    return Number(value, decimal, plain["percent"] is not None)


class _Reader:
    """Reads one sum from left to right (recursive descent)."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._index = 0

    def read(self) -> Sum:
        """The whole formula as a sum. Raises Unsure."""
        total = self._sum()
        if self._next():
            raise Unsure
        return total

    def _next(self) -> str:
        return self._tokens[self._index] if self._index < len(self._tokens) else ""

    def _take(self, wanted: str = "") -> str:
        token = self._next()
        if not token or (wanted and token != wanted):
            raise Unsure
        self._index += 1
        return token

    def _sum(self) -> Sum:
        total: Sum = {}
        sign = 1
        if self._next() in ("+", "-"):
            sign = -1 if self._take() == "-" else 1
        while True:
            total = algebra.add(total, self._product(), sign)
            if self._next() not in ("+", "-"):
                return total
            sign = -1 if self._take() == "-" else 1

    def _product(self) -> Sum:
        product = self._factor()
        while self._next() not in ("", "+", "-", ")", "}"):
            explicit = self._next() in ("\\cdot", "\\times")
            if explicit:
                self._take()
            elif self._next().isdigit() or self._next() == "\\frac" or (self._next() == "(" and self._after_letter()):
                # A number after a factor, a mixed number and a function's argument can each be read in several ways.
                raise Unsure
            product = algebra.multiply(product, self._factor())
        return product

    def _after_letter(self) -> bool:
        before = self._tokens[self._index - 1]
        return before in LETTERS or before == "\\pi"

    def _factor(self) -> Sum:
        token = self._take()
        if token == "\\frac":
            numerator = self._braced()
            denominator = self._braced()
            return algebra.multiply(numerator, algebra.inverse(denominator))
        if token == "\\sqrt":
            radicand = algebra.rational(self._braced())
            if radicand is None or radicand.denominator != 1:
                raise Unsure
            return algebra.root(radicand.numerator)
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
        content = self._sum()
        self._take("}")
        return content

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
    tokens, position = [], 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise Unsure
        tokens.append(token[1])
        position = token.end()
    return tokens
