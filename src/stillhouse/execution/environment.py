"""Numbers and switches in the environment: what a machine is given, and no result depends on."""

import os

from stillhouse.errors import BadConfig


def whole(name: str, default: int, least: int = 1) -> int:
    """The variable as a whole number; ``default`` where it is unset or empty. Raises BadConfig for less than ``least``, or text."""
    text = os.environ.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) < least:
        msg = f"{name}={text}: not a whole number of at least {least}"
        raise BadConfig(msg)
    return int(text)


def text(name: str) -> str | None:
    """The variable; None if it is unset or empty."""
    return os.environ.get(name) or None


def switch(name: str, *, default: bool) -> bool:
    """The variable, which is ``on`` or ``off``; ``default`` where it is unset or empty. Raises BadConfig for anything else."""
    text = os.environ.get(name, "")
    if text not in {"", "on", "off"}:
        msg = f"{name}={text}: not one of on, off"
        raise BadConfig(msg)
    return text == "on" if text else default


def number(name: str, default: float) -> float:
    """The variable as a number above 0; ``default`` where it is unset or empty. Raises BadConfig for anything else."""
    text = os.environ.get(name, "")
    try:
        found = float(text or default)
    except ValueError:
        found = 0.0
    if not found > 0:  # not a number is none either
        msg = f"{name}={text}: not a number above 0"
        raise BadConfig(msg)
    return found
