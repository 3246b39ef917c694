r"""Integrals, sums, limits and what else the exact rules do not read, by math-verify.

math-verify expects the reference first. Its own time limits are signals, which fail outside the main thread and cannot interrupt C
code: they are switched off, and the pool's deadline replaces them. It is given one formula, without units and boxes, so that it
drops nothing; a decimal is rounded relative to its size, since its six decimal places make small numbers equal.
"""

from functools import lru_cache
from typing import Any

import math_verify
from latex2sympy2_extended import NormalizationConfig
from math_verify import LatexExtractionConfig

METHOD = "math-verify"

_CONFIG = LatexExtractionConfig(
    boxed_match_priority=-1,
    normalization_config=NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none", equations=False
    ),
)
_WARMING = (
    ("\\int_0^1 x dx", "\\frac{1}{2}"),
    ("\\sum_{n=0}^\\infty x^n", "\\sum_{n=3}^\\infty x^n"),
    ("x=\\ln 3", "x=\\ln 6"),
    ("x>5", "x<5"),
)


class UnreadReference(Exception):
    """math-verify cannot read the reference."""


class UnreadAnswer(Exception):
    """math-verify cannot read the answer."""


def warm() -> None:
    """Parse and compare unequal formulas of several kinds: math-verify and sympy load much of themselves when first used."""
    for reference, answer in _WARMING:
        equal(reference, answer)


def prepare(reference: str) -> None:
    """Read a reference, so that the time of the answer is its own. Raises UnreadReference."""
    _reference(reference)


def equal(reference: str, answer: str) -> bool:
    """Whether two formulas are equal; it has no time limit. Raises UnreadReference or UnreadAnswer."""
    gold = _reference(reference)
    parsed = _parsed(answer)
    if not parsed:
        msg = f"no formula in {answer!r}"
        raise UnreadAnswer(msg)
    return bool(math_verify.verify(list(gold), parsed, timeout_seconds=None, raise_on_error=True))


@lru_cache(maxsize=256)
def _reference(text: str) -> tuple[Any, ...]:
    """The parsed reference; cached, since the responses to one question come one after another."""
    try:
        parsed = _parsed(text)
    except MemoryError:
        raise
    except Exception as error:
        msg = f"{type(error).__name__} on {text!r}"
        raise UnreadReference(msg) from error
    if not parsed:
        msg = f"no formula in {text!r}"
        raise UnreadReference(msg)
    return tuple(parsed)


def _parsed(text: str) -> list[Any]:
    """The formulas that sympy can hold; texts that math-verify could not parse are left out."""
    parsed = math_verify.parse(f"${text}$", [_CONFIG], fallback_mode="no_fallback", parsing_timeout=None, raise_on_error=True)
    return [part for part in parsed if not isinstance(part, str)]
