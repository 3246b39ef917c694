"""Compares what a program printed or returned with what was expected."""

import math
import re
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

Comparison = Literal["lines", "tokens", "tokens_any_case", "livecodebench"]
FLOAT_TOLERANCE = 1e-6
"""How far a float may be off, relative to the expected one, if the tests say nothing; judges of contests allow it."""
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?")
_FLOAT = re.compile(r"[.eE]")
_MARKED = re.compile(r"\+|-?0\d")
"""The beginning of a number whose characters count: 0011 is no 11, and +5 no 5."""
_SPACE = " \t\r\f\v"
_WORD = re.compile(r"[^ \t\n\r\f\v]+")


def same_output(got: str, expected: str, tolerance: float | None, comparison: Comparison = "lines") -> bool:
    """Compare texts by the rule of this name.

    * ``lines``: line by line, without trailing white space and empty lines at the end; lines with numbers word by word.
    * ``tokens``: word by word, whatever white space is between; ``tokens_any_case`` also takes ``YES`` for ``Yes``.
    * ``livecodebench``: as LiveCodeBench does: stripped lines, equal or, number by number, equal as decimals; no tolerance.

    Numbers are equal if their values are, unless one has zeros or a plus before it, and floats on both sides within
    FLOAT_TOLERANCE, relatively. A ``tolerance`` replaces that: then all numbers may be off by it, absolutely or relatively.
    """
    if comparison == "livecodebench":
        return _same_to_livecodebench(got, expected)
    if comparison == "lines":
        got_lines, expected_lines = _lines(got), _lines(expected)
        if got_lines == expected_lines:
            return True
        return len(got_lines) == len(expected_lines) and all(
            one == other or _same_line(one, other, tolerance) for one, other in zip(got_lines, expected_lines, strict=True)
        )
    if comparison == "tokens_any_case":
        got, expected = got.casefold(), expected.casefold()
    return _same_words(_WORD.findall(got), _WORD.findall(expected), tolerance)


def same_value(got: Any, expected: Any, tolerance: float | None, comparison: Comparison = "lines") -> bool:
    """Compare two JSON values; numbers as in ``same_output``, but LiveCodeBench's exactly."""
    if isinstance(got, list) and isinstance(expected, list):
        pairs = zip(got, expected, strict=False)
        return len(got) == len(expected) and all(same_value(*pair, tolerance, comparison) for pair in pairs)
    if isinstance(got, dict) and isinstance(expected, dict):
        return got.keys() == expected.keys() and all(same_value(got[key], expected[key], tolerance, comparison) for key in got)
    if isinstance(got, bool) or isinstance(expected, bool) or comparison == "livecodebench":
        return bool(got == expected)
    if isinstance(got, int | float) and isinstance(expected, int | float):
        if tolerance is None and not (isinstance(got, float) and isinstance(expected, float)):
            return got == expected
        return _close(got, expected, tolerance)
    return bool(got == expected)


def _lines(text: str) -> list[str]:
    lines = [line.rstrip(_SPACE) for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _same_line(got: str, expected: str, tolerance: float | None) -> bool:
    """Two lines of words, at least one of them a number, that begin with the same white space."""
    words = _WORD.findall(expected)
    indented_alike = len(got) - len(got.lstrip()) == len(expected) - len(expected.lstrip())
    return indented_alike and any(map(_NUMBER.fullmatch, words)) and _same_words(_WORD.findall(got), words, tolerance)


def _same_words(got: list[str], expected: list[str], tolerance: float | None) -> bool:
    return len(got) == len(expected) and all(_same_word(*pair, tolerance) for pair in zip(got, expected, strict=True))


def _same_word(got: str, expected: str, tolerance: float | None) -> bool:
    if got == expected:
        return True
    if not (_NUMBER.fullmatch(got) and _NUMBER.fullmatch(expected)) or _MARKED.match(got) or _MARKED.match(expected):
        return False
    if Decimal(got) == Decimal(expected):
        return True
    floats = _FLOAT.search(got) and _FLOAT.search(expected) and math.isfinite(float(got))
    return bool(floats or tolerance is not None) and _close(float(got), float(expected), tolerance)


def _close(got: float, expected: float, tolerance: float | None) -> bool:
    try:
        if tolerance is None:
            return math.isclose(got, expected, rel_tol=FLOAT_TOLERANCE)
        return math.isclose(got, expected, rel_tol=tolerance, abs_tol=tolerance)
    except OverflowError:  # an integer beyond all floats
        return got == expected


def _same_to_livecodebench(got: str, expected: str) -> bool:
    got_lines, expected_lines = ([line.strip() for line in text.strip().split("\n")] for text in (got, expected))
    return len(got_lines) == len(expected_lines) and all(
        one == other or ((decimals := _decimals(one)) is not None and decimals == _decimals(other))
        for one, other in zip(got_lines, expected_lines, strict=True)
    )


def _decimals(line: str) -> list[Decimal] | None:
    """The numbers of a line; None if a word is none."""
    try:
        return [Decimal(word) for word in line.split()]
    except InvalidOperation:
        return None
