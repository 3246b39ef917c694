"""Cron expressions of five fields, checked before Airflow reads them: it names neither the field nor what may stand there."""

import calendar
import re

PRESETS = ("@once", "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly", "@continuous")
FIELDS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}
NAMES = {
    "month": {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name},
    "weekday": {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))},
}
_PART = re.compile(r"(?:(?P<all>\*)|(?P<first>[0-9]{1,2}|[a-z]{3})(?:-(?P<last>[0-9]{1,2}|[a-z]{3}))?)(?:/(?P<step>[0-9]{1,2}))?")
_LONGEST = {month: calendar.monthrange(2000, month)[1] for month in range(1, 13)}
"""By month, its days in a leap year."""


def check(expression: str) -> None:
    """Raise ValueError, which names the field, for what is no cron expression or names a day that no month has."""
    if expression in PRESETS:
        return
    texts = expression.split()
    if len(texts) != len(FIELDS):
        msg = f"a cron expression has five fields, such as 0 2 * * *, or is one of {', '.join(PRESETS)}; got {expression!r}"
        raise ValueError(msg)
    values = {name: _values(name, text) for name, text in zip(FIELDS, texts, strict=True)}
    if texts[-1] == "*" and not any(day <= _LONGEST[month] for month in values["month"] for day in values["day"]):
        msg = f"no month {texts[3]} has a day {texts[2]}, got {expression!r}"
        raise ValueError(msg)


def _values(name: str, text: str) -> set[int]:
    """The numbers that a field of this name stands for."""
    chosen: set[int] = set()
    for part in text.lower().split(","):
        match = _PART.fullmatch(part)
        ends = _ends(name, match) if match else None
        if ends is None:
            least, most = FIELDS[name]
            names = f" or a name such as {next(iter(NAMES[name]))}" if name in NAMES else ""
            msg = f"{name} of a cron expression is from {least} to {most}{names}, or *; ranges such as {least}-{most} ascend, "
            raise ValueError(msg + f"steps such as */2 are above 0; got {text!r}")
        first, last, step = ends
        chosen |= set(range(first, last + 1, step))
    return chosen


def _ends(name: str, match: re.Match[str]) -> tuple[int, int, int] | None:
    """First, last and step of one part of a field; None if they are none of the field's numbers."""
    least, most = FIELDS[name]
    if match["all"]:
        first, last = least, most
    else:
        first = _number(name, match["first"])
        last = _number(name, match["last"]) if match["last"] else most if match["step"] else first
    step = int(match["step"] or 1)
    return (first, last, step) if least <= first <= last <= most and 1 <= step <= most else None


def _number(name: str, text: str) -> int:
    """The number of a name of a month or a weekday; -1 for a name that is neither."""
    return int(text) if text.isdecimal() else NAMES.get(name, {}).get(text, -1)
