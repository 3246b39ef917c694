"""Turn pydantic's errors on a line into one phrase, the same for every import."""

from typing import Any

from pydantic import ValidationError

from stillhouse.exchange.bad_rows import Bad, Object, shown
from stillhouse.vocabulary.text import shortened


def describe(error: ValidationError) -> str:
    """The errors of one line in one phrase."""
    phrases = []
    for problem in error.errors(include_url=False):
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "json_invalid":
            phrases.append(f"not JSON ({problem['ctx']['error']})")
        elif problem["type"] == "extra_forbidden":
            phrases.append(f"{where}: no such column")
        elif problem["type"] == "missing":
            phrases.append(f"{where}: missing")
        else:
            phrases.append(f"{where or 'line'}: {problem['msg'].removeprefix('Input ')}, got {_short(problem['input'])}")
    return ", ".join(phrases)


def _short(value: Any) -> str:
    text = repr(value)
    return shortened(text, 40)


def bad(error: ValidationError, row: Object) -> Bad:
    """The row as a value: ``bad_column`` if a column is missing, else ``bad_value``."""
    missing = any(problem["type"] == "missing" for problem in error.errors(include_url=False))
    return Bad("bad_column" if missing else "bad_value", describe(error), shown(row))
