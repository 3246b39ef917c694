"""Values of a row by dotted paths: ``info.answer``, ``messages.0.content``; an optional path ends in ``?``."""

import json
from typing import Any

from stillhouse.exchange import templates
from stillhouse.exchange.bad_rows import Object
from stillhouse.exchange.record import Unfit

MISSING = object()
MAYBE = "?"


def at(row: Object, path: str) -> Any:
    """The value at the path; None if an optional path (``?``) leads nowhere, or a parent is null. Raises Unfit."""
    value: Any = row
    if path in row:
        return row[path]
    for part in path.removesuffix(MAYBE).split("."):
        if isinstance(value, str) and value[:1] in "{[":
            value = loaded(value)
        if isinstance(value, dict):
            value = value.get(part, MISSING)
        elif isinstance(value, list) and part.lstrip("-").isdecimal():
            value = value[int(part)] if -len(value) <= int(part) < len(value) else MISSING
        else:
            value = None if value is None else MISSING
        if value is MISSING:
            if path.endswith(MAYBE):
                return None
            msg = f"{path}: missing; the row has {templates.named(row)}"
            raise Unfit(msg, "bad_column")
    return value


def lifted(row: Object, path: str) -> Object:
    """The row with the columns of the object at the path, instead of that object. Raises Unfit."""
    value = at(row, path)
    inner = loaded(value)
    if not isinstance(inner, dict):
        msg = f"{path}: {'null' if inner is None else type(inner).__name__}, not an object with columns"
        raise Unfit(msg, "bad_type")
    outer = path if path in row else path.split(".", maxsplit=1)[0]
    return {name: column for name, column in row.items() if name != outer} | inner


def loaded(value: Any) -> Any:
    """The value of a JSON text; any other text or value as it is."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value
