"""One row with everything that is known of it: question, response, verdict, grade, and the other answers to the question."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import polars as pl
from markupsafe import Markup

from stillhouse.browsing.library import BY_QUESTION, BY_RESPONSE, Library
from stillhouse.browsing.lookups import LEAST_PARTS, Share, located, nearest_parts, shares, with_texts
from stillhouse.browsing.parts import PART, ROW, RowTable
from stillhouse.errors import BadRows
from stillhouse.vocabulary.masking import printable

SECONDS = 5.0
"""Time for finding the rows that belong to one."""
ANSWERS_SECONDS = 1.0
"""Time for finding the other answers to a question: an artifact may hold them far from each other, model by model."""
MOST_ANSWERS = 256
"""Answers of one artifact to a question, about: enough for 64 samples of four models."""
DIFF_CHARS = 8000
"""Longest text that is compared word by word: a longer one takes too long."""
WORD = re.compile(r"\w+\s*|[^\w\s]\s*|\s+")
CASE_COLUMNS = ("category", "messages", "reference_answer", "test_cases", "constraints")


@dataclass(frozen=True)
class RowView:
    """One row of the list with what belongs to it; a kind of row that is not there is empty."""

    number: int
    row: dict[str, Any]
    question: dict[str, Any]
    response: dict[str, Any]
    verdict: dict[str, Any]
    grade: dict[str, Any]
    answers: list[dict[str, Any]]
    """All responses to the question that were found, with their verdicts."""

    @property
    def case(self) -> str:
        """The row as a test case of the verifier, in JSON."""
        return json.dumps(test_case(self.question, self.response, self.verdict), ensure_ascii=False, indent=1)


def row_view(library: Library, number: int) -> RowView:
    """The row of this number with what belongs to it. Raises BadRows if there is no such row."""
    table = library.listed
    if not 0 <= number < table.n_rows:
        msg = f"row {number}: {library.title} has {table.n_rows:,} rows, counted from 0"
        raise BadRows(msg)
    part, row = table.at(number)
    own = table.rows(part, [row], table.columns())
    near, deadline = (number / table.n_rows, (number + 1) / table.n_rows), time.monotonic() + SECONDS
    found = {kind: _one(library, kind, own, near, deadline) for kind in ("questions", "responses", "verified", "graded")}
    answers = _answers(library, own, near, deadline) if "question_id" in own.columns else []
    shown = own.drop(ROW).to_dicts()[0]
    question = found["questions"] or {name: shown[name] for name in CASE_COLUMNS if name in shown}
    return RowView(number, shown, question, found["responses"] or _marked_text(shown), found["verified"], found["graded"], answers)


def test_case(question: Mapping[str, Any], response: Mapping[str, Any], verdict: Mapping[str, Any]) -> dict[str, Any]:
    """A case of the verifier's conformance set: the question with its reference, a response, and the verdict that it got."""
    asked = {name: question.get(name) for name in ("question_id", *CASE_COLUMNS) if question.get(name) is not None}
    given = {name: response.get(name) for name in (*BY_RESPONSE, "text") if response.get(name) is not None}
    return {"question": asked, "response": given, "got": verdict.get("kind"), "passed": verdict.get("passed")}


def diff(one: str, other: str) -> tuple[Markup, Markup]:
    """Two texts with the words that only one of them has marked."""
    words, others = (WORD.findall(text[:DIFF_CHARS]) for text in (one, other))
    left, right = list[Markup](), list[Markup]()
    for kind, a, b, c, d in SequenceMatcher(None, words, others).get_opcodes():
        for side, text, tag in ((left, words[a:b], "del"), (right, others[c:d], "ins")):
            shown = printable("".join(text), keep="\n\t")
            if shown:
                side.append(Markup("{}").format(shown) if kind == "equal" else Markup(f"<{tag}>{{}}</{tag}>").format(shown))
    return Markup("").join(left), Markup("").join(right)


def _one(library: Library, kind: str, own: pl.DataFrame, near: Share, deadline: float) -> dict[str, Any]:
    """The row of a kind that belongs to the listed one; the listed one itself if it is of that kind; empty without one."""
    if kind == library.listed.name:
        return own.drop(ROW).to_dicts()[0]
    table = library.joined.get(kind)
    if table is None or not set(table.key) <= set(own.columns):
        return {}
    places = located(table, own, shares(library.listed, table, library.table("responses"), *near), (), deadline)
    return next(iter(_full(table, places)), {})


def _full(table: RowTable, places: pl.DataFrame) -> list[dict[str, Any]]:
    """The located rows with all their columns."""
    columns = [name for name in table.columns() if name not in table.key]
    return [{name: value for name, value in row.items() if name[0] != "_"} for row in with_texts(table, places, columns).to_dicts()]


def _answers(library: Library, own: pl.DataFrame, near: Share, deadline: float) -> list[dict[str, Any]]:
    """Every response to the row's question near where its artifacts have it, with its verdict."""
    responses, verdicts = library.table("responses"), library.table("verified")
    if responses is None:
        return []
    places, begin, share = list[pl.DataFrame](), 0, _share_of_question(library, own, near, deadline)
    until = time.monotonic() + ANSWERS_SECONDS
    for n_parts in responses.artifacts:
        places += _places_of_question(responses, range(begin, begin + n_parts), own, share, until)
        begin += n_parts
    rows = [row for place in places for row in _full(responses, place)]
    if verdicts is not None and rows:
        keys = pl.concat([place.select(BY_RESPONSE) for place in places])
        where = [(place[PART][0], place[ROW][0]) for place in places]
        near_all = [(share, share) for part, row in where for share in [(responses.start(part) + row) / responses.n_rows]]
        judged = _full(verdicts, located(verdicts, keys, near_all, (), deadline))
        by_key = {tuple(row[name] for name in BY_RESPONSE): row for row in judged}
        rows = [row | {"verdict": by_key.get(tuple(row[name] for name in BY_RESPONSE), {})} for row in rows]
    return sorted(rows, key=lambda row: [str(row[name]).zfill(6) for name in BY_RESPONSE[1:]])


def _share_of_question(library: Library, own: pl.DataFrame, near: Share, deadline: float) -> float:
    """Where the row's question lies among the questions; without those, where the row itself lies."""
    questions = library.table("questions")
    if questions is None:
        return near[0]
    at = shares(library.listed, questions, library.table("responses"), *near)
    places = located(questions, own, at, (), deadline).to_dicts()
    if not places:
        return near[0]
    return (questions.start(places[0][PART]) + int(places[0][ROW])) / max(questions.n_rows, 1)


def _places_of_question(table: RowTable, parts: range, own: pl.DataFrame, share: float, until: float) -> list[pl.DataFrame]:
    """Where the parts of one artifact have the question, those first that lie nearest to a share of the artifact."""
    if not parts:
        return []
    first, last, found = table.start(parts.start), table.ends[parts.stop - 1], list[pl.DataFrame]()
    at = (first + share * (last - first)) / max(table.n_rows, 1)
    nearest = (part for part in nearest_parts(table, [(at, at)]) if part in parts)
    for count, part in enumerate(nearest):
        if (count >= LEAST_PARTS and time.monotonic() > until) or sum(frame.height for frame in found) >= MOST_ANSWERS:
            break
        hits = table.narrow(part, ()).join(own.select(BY_QUESTION), on=list(BY_QUESTION), how="semi")
        if hits.height:
            found.append(hits.with_columns(pl.lit(part, pl.Int64).alias(PART)))
    return found


def _marked_text(row: Mapping[str, Any]) -> dict[str, Any]:
    """The response that a mark or a listed row carries itself."""
    return {name: row[name] for name in (*BY_RESPONSE, "text") if name in row} if "text" in row else {}
