"""A row of the table of ``check.py``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measurement."""

    part: str
    what: str
    value: float
    unit: str = ""
    bar: str = ""
    """What it is held to."""
    passed: bool | None = None
    """None if it is held to nothing."""


def at_most(part: str, what: str, value: float, bound: float, unit: str = "") -> Row:
    """A measurement that must not be larger; NaN is not small."""
    return Row(part, what, value, unit, f"<= {bound:g}", value <= bound)


def at_least(part: str, what: str, value: float, bound: float, unit: str = "") -> Row:
    """A measurement that must not be smaller."""
    return Row(part, what, value, unit, f">= {bound:g}", value >= bound)


def holds(part: str, what: str, truth: object) -> Row:
    """Something that must be so."""
    return Row(part, what, float(bool(truth)), "", "true", bool(truth))
