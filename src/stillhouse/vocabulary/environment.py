"""Variables of the environment: settings of a machine, on which no result depends."""

import os

from stillhouse.errors import BadConfig


def text(name: str, default: str = "") -> str:
    """The variable; ``default`` if it is unset or empty."""
    return os.environ.get(name) or default


def whole(name: str, default: int, least: int = 1) -> int:
    """The variable as a whole number; ``default`` if it is unset or empty. Raises BadConfig below ``least`` or for no number."""
    value = text(name)
    if not value:
        return default
    if not value.isdecimal() or int(value) < least:
        msg = f"{name}={value}: not a whole number of at least {least}"
        raise BadConfig(msg)
    return int(value)


def switch(name: str, *, default: bool) -> bool:
    """The variable, which is ``on`` or ``off``; ``default`` if it is unset or empty. Raises BadConfig for anything else."""
    value = text(name)
    if value not in {"", "on", "off"}:
        msg = f"{name}={value}: not one of on, off"
        raise BadConfig(msg)
    return value == "on" if value else default


def number(name: str, default: float) -> float:
    """The variable as a number above 0; ``default`` if it is unset or empty. Raises BadConfig for anything else."""
    value = text(name)
    try:
        result = float(value or default)
    except ValueError:
        result = 0.0
    if not result > 0:  # NaN is refused too
        msg = f"{name}={value}: not a number above 0"
        raise BadConfig(msg)
    return result
