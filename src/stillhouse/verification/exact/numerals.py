r"""One spelling for numbers: marks between thousands, mixed numbers, repeating decimals, decimal commas."""

import re
from fractions import Fraction

_THOUSANDS = re.compile(r"(?<![\d.,])([1-9]\d{0,2})((?:(?: |\\, ?|\\! ?|\{,\})\d{3})+)(?![\d])")
_WITH_COMMAS = re.compile(r"(?<![\d.,])([1-9]\d{0,2})((?:,\d{3})+)(?![\d])(?!,\d)")
_MIXED = re.compile(
    r"(?<![\d.^_/{])(\d{1,6}) (\d{1,6})/(\d{1,6})(?![\d/.])|(?<![\d.^_/}])(\d{1,6}) ?\\frac ?\{ ?(\d{1,6}) ?\} ?\{ ?(\d{1,6}) ?\}"
)
_REPEATING = re.compile(
    r"(\d*)\.(\d*)(?:\\overline ?\{ ?(\d+) ?\}|\\bar ?\{ ?(\d+) ?\}|\\dot ?\{ ?(\d) ?\}|\\overline ?(\d)|\((\d+)\))"
)

_GROUPED = re.compile(
    r"(?<![\w.,'^{])(?:[1-9]\d{0,2}(?:'\d{3}){1,5}|[1-9]\d{0,2}(?:\.\d{3}){2,5}|[1-9]\d{0,2}(?:_\d{3}){1,5})(?![\w'.]|,\d)",
    re.ASCII,
)
"""Thousands as the Swiss, Germans and programmers mark them."""
_GERMAN = re.compile(r"(?<![\w.,'^{])([1-9]\d{0,2}(?:\.\d{3})+),(\d{2})(?![\w.,])", re.ASCII)
"""Thousands with points and a decimal comma: 12.500,00."""
_GOING_ON = re.compile(r"(?<![\d.])(\d*)\.(\d*?)(\d+?)\3{1,}(\d*) ?\\ldots(?![A-Za-z])")
_WITH_COMMA = re.compile(r"(-?)(\d+),(\d+)", re.ASCII)
_WITH_POINT = re.compile(r"(-?)(\d*)\.(\d+)|(-?)(\d+)", re.ASCII)


def joined(text: str) -> str:
    """``1 000 000``, ``1'000'000`` and ``1.000.000`` as ``1000000``."""
    if not re.search(r"\d\D{1,4}\d\d", text):
        return text
    text = _GERMAN.sub(lambda match: f"{match[1].replace('.', '')}.{match[2]}", text)
    return _GROUPED.sub(lambda match: re.sub(r"\D", "", match[0]), _THOUSANDS.sub(_joined_digits, text))


def with_whole_numbers(text: str) -> str:
    r"""``1 1/4`` as ``(1+\frac{1}{4})``."""
    return _MIXED.sub(_mixed, text)


def with_periods(text: str) -> str:
    r"""``0.1\overline{6}`` and ``0.1666\ldots`` as a fraction."""
    return _GOING_ON.sub(_going_on, _REPEATING.sub(_repeating, text)) if "." in text else text


def with_thousands_joined(text: str) -> str:
    """``1,234`` outside brackets as ``1234``."""
    depth, positions = 0, []
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        positions.append(depth)
    return _WITH_COMMAS.sub(lambda match: match[0] if positions[match.start()] else match[0].replace(",", ""), text)


def is_decimal_comma(answer: str, reference: str) -> bool:
    """Whether an answer is the reference but for a decimal comma: ``1,5`` for ``1.5``; ``1,234`` is a whole number.

    A reference with a comma is a list, and a decimal only as ``0,5`` and ``3,14`` are.
    """
    comma, point = (answer, reference) if "," in answer else (reference, answer)
    found, expected = _WITH_COMMA.fullmatch(comma.strip()), _WITH_POINT.fullmatch(point.strip())
    if found is None or expected is None or (len(found[3]) == 3 and found[2] != "0"):
        return False
    if (comma is reference and found[2] != "0" and len(found[3]) < 2) or (expected[3] is None and found[3] != "00"):
        return False
    return Fraction(f"{found[1]}{found[2]}.{found[3]}") == Fraction(point.strip())


def _joined_digits(match: re.Match[str]) -> str:
    """``1 000 000`` as ``1000000``."""
    return match[1] + re.sub(r"\D", "", match[2])


def _mixed(match: re.Match[str]) -> str:
    r"""``1 1/4`` as ``(1+\frac{1}{4})``; an improper fraction makes no mixed number."""
    whole, top, bottom = (first or second for first, second in zip(match.groups()[:3], match.groups()[3:], strict=True))
    if not 0 < int(top) < int(bottom) or int(whole) == 0:
        return match[0]
    return f"({whole}+\\frac{{{top}}}{{{bottom}}})"


def _repeating(match: re.Match[str]) -> str:
    r"""``0.1\overline{6}`` as a fraction."""
    whole, before, *repeated = match.groups()
    period = next(filter(None, repeated))
    return _periodic(whole, before, period)


def _going_on(match: re.Match[str]) -> str:
    """A decimal that repeats at least twice before its dots; one that stops within a period must have begun the next."""
    whole, before, period, rest = match.groups()
    if not period.startswith(rest) or len(match[0].partition(".")[2].rstrip("\\ldots .")) < 2:
        return match[0]
    return _periodic(whole, before, period)


def _periodic(whole: str, before: str, period: str) -> str:
    """The fraction that a decimal is: its whole part, the digits before its period, and the period."""
    scale = 10 ** len(before) * (10 ** len(period) - 1)
    top = int(f"{whole or 0}{before}{period}") - int(f"{whole or 0}{before}")
    return f"\\frac{{{top}}}{{{scale}}}"
