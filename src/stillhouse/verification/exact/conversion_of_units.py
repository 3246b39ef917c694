"""Conversion between units of one dimension by pint, for questions that allow it."""

from fractions import Fraction
from functools import cache
from typing import Any

from stillhouse.errors import BadConfig
from stillhouse.verification.exact import units

_NAMES = {
    "µm": "micrometer", "mi": "mile", "ly": "light_year", "AU": "astronomical_unit", "pc": "parsec", "Å": "angstrom",
    "t": "metric_ton",
    "h": "hour", "d": "day", "yr": "year", "L": "liter", "mL": "milliliter", "gal": "gallon", "Ω": "ohm", "kΩ": "kiloohm",
    "ha": "hectare", "deg": "degree", "rad": "radian", "cal": "calorie", "kcal": "kilocalorie",
    "lb": "pound",
    "oz": "ounce", "in": "inch", "ft": "foot", "yd": "yard", "min": "minute", "in ": "inch", "dyn": "dyne", "eV": "electron_volt",
    "keV": "kiloelectron_volt", "MeV": "megaelectron_volt", "GeV": "gigaelectron_volt", "kWh": "kilowatt_hour", "C": "coulomb",
}  # fmt: skip


@cache
def _registry() -> Any:
    try:
        import pint
    except ImportError as error:
        msg = "a question's rules say units: convert, which needs pint; install stillhouse[worker]"
        raise BadConfig(msg) from error
    return pint.UnitRegistry(non_int_type=Fraction)


@cache
def converted(gold: str, answer: str) -> Fraction | None:
    """What a number in the unit ``answer`` is multiplied by to be in the unit ``gold``; None if their dimensions differ.

    Raises BadConfig if pint is not installed.
    """
    registry = _registry()
    from pint.errors import PintError

    try:
        factor = registry.Quantity(Fraction(1), _expression(answer)).to(_expression(gold)).magnitude
    except PintError:
        return None
    return Fraction(factor).limit_denominator(10**18) if isinstance(factor, float) else Fraction(factor)


def _expression(unit: str) -> str:
    """A unit in pint's words."""
    parts = [f"({_NAMES.get(symbol, symbol)})**{power}" for symbol, power in units.dimensions(unit).items()]
    return "*".join(parts)
