"""Rows that cannot be used: a bad row is a value, not an error, until there are too many of them."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic_core import PydanticSerializationError, to_json

from stillhouse.errors import TooManyErrors
from stillhouse.exchange import row_share
from stillhouse.vocabulary.rows import Dropped

SHOWN_CHARS = 1000
"""Characters of a bad row that its dropped record keeps."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that is not read: ``reason`` begins with ``bad_``, ``text`` is the row's beginning."""

    reason: str
    detail: str
    text: str = ""


NOT_MINE = Bad(row_share.PASSED_OVER.reason, "")
"""A row that another process reads."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that the recipe does not ask for, by its filter: dropped with this reason, and never counted as bad."""

    detail: str
    text: str = ""
    reason: str = "filtered"


Object = dict[str, Any]
T = TypeVar("T")


def shown(row: bytes | Object) -> str:
    """The beginning of a line or an object, for its dropped record. A value that JSON has no form for is shown as Python does."""
    if isinstance(row, bytes):
        return row[:SHOWN_CHARS].decode(errors="replace")
    try:
        return to_json(row, fallback=str)[:SHOWN_CHARS].decode(errors="replace")
    except (PydanticSerializationError, UnicodeError):
        return repr(row)[:SHOWN_CHARS].encode(errors="replace").decode()


def bounded(
    rows: Iterable[tuple[int | str, T | Bad | LeftOut]], location: str, max_bad_rate: float, count: int | None = None
) -> Iterator[T | Dropped]:  # fmt: skip
    """The rows, at most ``count``; bad and filtered ones as dropped rows with the key ``location:number``.

    Raises TooManyErrors at the end if the share of bad rows is above ``max_bad_rate``; where processes share a source, whoever
    combines them judges that.
    """
    reasons, first, good = Counter[str](), "", 0
    for number, row in rows:
        if row is NOT_MINE:
            yield row_share.PASSED_OVER
        elif isinstance(row, Bad | LeftOut):
            if isinstance(row, Bad):
                reasons[row.reason] += 1
                first = first or f"line {number}: {row.detail}"
            yield Dropped(f"{location}:{number}", row.reason, row.detail, json.dumps(row.text, ensure_ascii=False))
        else:
            yield row
            good += 1
            if good == count:
                break
    bad = reasons.total()
    if row_share.count(good=good, bad=bad):
        return
    if bad > max_bad_rate * (good + bad):
        by_reason = ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items()))
        msg = (
            f"{location}: {bad} of {good + bad} rows are bad ({by_reason}; first {first}), max_bad_rate allows {max_bad_rate:g}; "
            "correct the file, or raise max_bad_rate"
        )
        raise TooManyErrors(msg)
