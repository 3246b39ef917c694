"""What pydantic finds wrong with a line -> one phrase, the same for everything that is imported."""

from typing import Any

from pydantic import ValidationError

from stillhouse.exchange.files import Bad, Object, shown


def describe(error: ValidationError) -> str:
    """What is wrong with one line, in one phrase."""
    said = []
    for each in error.errors(include_url=False):
        where = ".".join(str(part) for part in each["loc"])
        if each["type"] == "json_invalid":
            said.append(f"not JSON ({each['ctx']['error']})")
        elif each["type"] == "extra_forbidden":
            said.append(f"{where}: no such column")
        elif each["type"] == "missing":
            said.append(f"{where}: missing")
        else:
            said.append(f"{where or 'line'}: {each['msg'].removeprefix('Input ')}, got {_short(each['input'])}")
    return ", ".join(said)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"


def bad(error: ValidationError, given: Object) -> Bad:
    """The row as a value: ``bad_column`` where a column is missing, else ``bad_value``."""
    missing = any(each["type"] == "missing" for each in error.errors(include_url=False))
    return Bad("bad_column" if missing else "bad_value", describe(error), shown(given))
