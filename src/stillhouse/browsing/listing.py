"""One page of the list: the next rows that fit the filters, each joined to its question, response, verdict and grade."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import polars as pl

from stillhouse.browsing.library import BY_RESPONSE, DROPPED, Library
from stillhouse.browsing.lookups import Share, located, shares, with_texts
from stillhouse.browsing.parts import ROW, RowTable, collected
from stillhouse.vocabulary.stage_names import MARKS
from stillhouse.vocabulary.text import shortened

PAGE_ROWS = 50
NUMBER = "row_number"
"""Column of a row's number in the list, from 0."""
SECONDS = 2.0
"""Time that one page may take to find rows: after it the page shows what was found, and goes on from there."""
EXCERPT_CHARS = 240
OWNERS = {"category": "questions", "level": "graded", "kind": "verified"}
"""Column that is filtered by -> the kind of rows that has it, if the listed rows have not."""
TEXTS = {"questions": "messages", "selected": "messages", MARKS: "text", "responses": "text", DROPPED: "detail"}
"""Kind of rows -> its column of text."""
WORDS = {"kind": "verdict"}
"""Filters whose column is called otherwise."""
SHORT = {"questions": ("category",), "graded": ("level",), "verified": ("kind", "verify_score", "passed")}


@dataclass(frozen=True)
class RowFilters:
    """What the rows must be; empty for anything."""

    category: str = ""
    level: str = ""
    kind: str = ""
    """Of the verdict."""
    model: str = ""
    reason: str = ""
    """Why a row was dropped or screened out."""
    split: str = ""
    text: str = ""
    """Part of the response, or else of the question, in any case of letters."""

    @property
    def given(self) -> dict[str, str]:
        """The filters that are set."""
        return {column.name: value for column in fields(self) if (value := getattr(self, column.name))}


@dataclass(frozen=True)
class ListPage:
    """Rows of the list, and where the next page begins."""

    rows: list[dict[str, Any]]
    next: int | None
    """The number of the row at which the next page begins; None at the end."""
    n_seen: int
    """Rows that were looked at for this page."""
    notes: list[str] = field(default_factory=list)


def filterable(library: Library) -> list[str]:
    """The filters that the rows of this view can be held to."""
    own = set(library.listed.columns())
    return [column.name for column in fields(RowFilters) if _owner(library, own, column.name)]


def list_page(library: Library, filters: RowFilters, at: int, seconds: float = SECONDS) -> ListPage:
    """The rows from number ``at`` on that fit the filters, at most ``PAGE_ROWS``."""
    table, deadline = library.listed, time.monotonic() + seconds
    columns = set(table.columns())
    notes = [
        f"the rows have no {WORDS.get(name, name)}, so this filter is left out; name the artifact that has it too"
        for name in filters.given
        if not _owner(library, columns, name)
    ]
    frames, found, number = list[pl.DataFrame](), 0, at
    while number < table.n_rows and found < PAGE_ROWS:
        part, row = table.at(number)
        frame, end = _fitting(library, filters, part, row, PAGE_ROWS - found, deadline)
        start = table.start(part)
        frames.append(frame.with_columns((pl.col(ROW).cast(pl.Int64) + start).alias(NUMBER)))
        found, number = found + frame.height, start + end
        if time.monotonic() > deadline and number < table.n_rows:
            break
    rows = [row for frame in frames for row in completed(library, frame, deadline)]
    return ListPage(rows, number if number < table.n_rows else None, number - at, notes)


def completed(library: Library, frame: pl.DataFrame, deadline: float = 0.0) -> list[dict[str, Any]]:
    """Rows of the listed table, with ``NUMBER``, completed from the other tables and cut to excerpts."""
    if not frame.height:
        return []
    first, last = (share / library.listed.n_rows for share in (frame[NUMBER][0], frame[NUMBER][-1]))
    rows = frame.drop(ROW).to_dicts()
    for kind, columns in (("questions", ("messages",)), ("responses", ("text", "answer")), ("verified", ()), ("graded", ())):
        table = library.joined.get(kind)
        if table is None or not set(table.key) <= set(frame.columns):
            continue
        near = shares(library.listed, table, library.table("responses"), first, last)
        places = located(table, frame, near, SHORT.get(kind, ()), deadline)
        found = {tuple(row[name] for name in table.key): row for row in with_texts(table, places, columns).to_dicts()}
        for row in rows:
            more = found.get(tuple(row[name] for name in table.key), {})
            row.update({name: value for name, value in more.items() if name not in row and not name.startswith("_")})
    return [_excerpt(row) for row in rows]


def _fitting(
    library: Library, filters: RowFilters, part: int, row: int, wanted: int, deadline: float
) -> tuple[pl.DataFrame, int]:  # fmt: skip
    """The part's first rows from ``row`` on that fit, at most ``wanted``, and the number of the row to go on with."""
    table, own = library.listed, set(library.listed.columns())
    query = table.parts[part].scan().slice(row)
    foreign = {}
    for name, value in filters.given.items():
        owner = _owner(library, own, name)
        if owner == table.name:
            query = query.filter(_predicate(_column(table, name), name, value))
        elif owner:
            foreign[name] = owner
    size = table.parts[part].n_rows
    place = table.parts[part].place
    if not foreign:
        frame = collected(query.select(pl.all().exclude("constraints", "test_cases")).head(wanted), place)
        return frame, int(frame[ROW][-1]) + 1 if frame.height == wanted else size
    keys = collected(query.select(ROW, *(name for name in BY_RESPONSE if name in own)), place)
    start = table.start(part)
    begin, end = ((start + number) / table.n_rows for number in (row, size))
    for name, owner in foreign.items():
        near = shares(table, library.joined[owner], library.table("responses"), begin, end)
        keys = _kept(library.joined[owner], keys, near, name, filters.given[name], deadline)
    first = keys.sort(ROW).head(wanted)
    if not first.height:
        return first, size
    frame = table.rows(part, first[ROW].to_list(), [name for name in table.columns() if name not in {"constraints", "test_cases"}])
    return frame, int(first[ROW][-1]) + 1 if first.height == wanted else size


def _kept(
    table: RowTable, keys: pl.DataFrame, near: Sequence[Share], name: str, value: str, deadline: float
) -> pl.DataFrame:  # fmt: skip
    """The keys whose row in another table fits one filter."""
    column = _column(table, name)
    if name == "text":
        places = with_texts(table, located(table, keys, near, (), deadline), (column,))
    else:
        places = located(table, keys, near, SHORT[table.name], deadline)
    fitting = places.filter(_predicate(column, name, value))
    return keys.join(fitting.select(table.key), on=list(table.key), how="semi")


def _owner(library: Library, own: set[str], name: str) -> str:
    """The kind of rows that a filter looks at; empty if the view has none."""
    if name == "text":
        kinds = (library.listed.name, "responses", "questions") if library.listed.name in TEXTS else ("responses", "questions")
        tables = (table for kind in kinds if (table := library.table(kind)) is not None)
        return next((table.name for table in tables if table is library.listed or set(table.key) <= own), "")
    if name in own:
        return library.listed.name
    owner = library.joined.get(OWNERS.get(name, ""))
    return owner.name if owner is not None and set(owner.key) <= own else ""


def _column(table: RowTable, name: str) -> str:
    return TEXTS[table.name] if name == "text" else name


def _predicate(column: str, name: str, value: str) -> pl.Expr:
    """Whether a row fits: for ``text`` a part of it, for ``level`` a number or ``none``."""
    if name == "level":
        return pl.col(column).is_null() if value == "none" else pl.col(column).cast(pl.String) == value
    if name != "text":
        return pl.col(column) == value
    text = pl.col(column)
    if column == "messages":
        text = text.list.eval(pl.element().struct.field("content")).list.join("\n")
    return text.str.to_lowercase().str.contains(value.lower(), literal=True)


def _excerpt(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its texts cut, and its question as one line."""
    cut: dict[str, Callable[[Any], Any]] = {"text": _line, "answer": _line, "detail": _line, "key": _line, "row": _line}
    shown = {name: cut[name](value) if name in cut and value else value for name, value in row.items() if name != "messages"}
    return shown | {"question": _line(asked(row.get("messages") or ()))}


def asked(messages: Sequence[dict[str, str]]) -> str:
    """The last thing that a user says: for one question the question, for an example the question before its answer."""
    return next((str(turn.get("content", "")) for turn in reversed(messages) if turn.get("role") == "user"), "")


def _line(text: str) -> str:
    return shortened(" ".join(text.split()), EXCERPT_CHARS)
