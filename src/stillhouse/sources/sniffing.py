"""Look at a file, a folder or a data set on the hub: what it is, the source that reads it, and what becomes of its rows."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import TypeAdapter, ValidationError

from stillhouse.errors import BadConfig, BadRows, MissingInput, TooManyErrors
from stillhouse.exchange import locations
from stillhouse.exchange.bad_rows import Bad, Object, bounded
from stillhouse.exchange.config import HUB_PATH
from stillhouse.exchange.presets import presets
from stillhouse.exchange.templates import FILE_NAME
from stillhouse.sources import columns, guessing, release
from stillhouse.sources.config import Spec
from stillhouse.sources.file import objects
from stillhouse.sources.stored import MAX_LINE_BYTES, HuggingFace, Preset, Release
from stillhouse.verification import self_test
from stillhouse.verification.pool import VerifierPool
from stillhouse.vocabulary.categories import PASS_THRESHOLDS, Category
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.rows import Dropped, Question

SAMPLE_ROWS = 200
"""Rows looked at."""
NOT_STATED = "not stated"
TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Sniffed:
    """What was found out."""

    what: str
    """The data, in a few words."""
    source: dict[str, Any]
    """The source, as a recipe of ``questions`` has it."""
    rows: Sequence[Object]
    """The first rows as they are."""
    questions: Sequence[Question]
    """The questions that become of the rows looked at."""
    dropped: Counter[str]
    """Rows looked at that become none, by reason."""
    details: Sequence[str]
    """Why the first ones become none."""
    unmapped: Counter[str]
    """Column that nothing maps -> rows looked at that have a value in it."""


def sniff(location: str, name: str | None = None, category: Category | None = None) -> Sniffed:
    """Look at the first rows. Raises BadConfig, MissingInput, BadRows if no row can be read or no column looks like a question."""
    rows, what, place = _on_hub(location) if _is_dataset(location) else _in_files(location)
    if not rows:
        msg = f"{location}: no row could be read ({what}); look at the file"
        raise BadRows(msg)
    plain = [{column: value for column, value in row.items() if column != FILE_NAME} for row in rows]
    source = {**_mapped(plain, location, place), "name": name or place["name"]}
    if category:
        source["category"] = category
        source.get("columns", {}).pop("category", None)
        source.pop("categories", None)
    questions, dropped, details, unmapped = _read(source, rows)
    return Sniffed(what, source, plain, questions, dropped, details, unmapped)


def tested(questions: Sequence[Question]) -> str:
    """What the self-test of ``verified`` says of the questions, in one line."""
    with VerifierPool(TIMEOUT_S) as pool:
        by_rule = [question for question in questions if question.category in pool.verifiers]
        if not by_rule:
            return "nothing to try: a judge or a reward model verifies these"
        try:
            counts = self_test.check(pool, by_rule, PASS_THRESHOLDS, 0.25, "self-test")
        except TooManyErrors as error:
            return one_line(error)
    failed = f", {counts['n_self_test_failed']:.0f} judged wrongly" if counts["n_self_test_failed"] else ", all judged rightly"
    return f"passed: {counts['n_self_test']:.0f} known answers tried{failed}"


def _is_dataset(location: str) -> bool:
    match = HUB_PATH.fullmatch(location)
    return match is not None and not match["path"]


def _in_files(location: str) -> tuple[list[Object], str, dict[str, Any]]:
    """Rows, what they are, and the fields of the source that say where they lie."""
    with locations.fetched(location) as found:
        read = [row for file in found for _, row in islice(objects(file, MAX_LINE_BYTES), SAMPLE_ROWS)][:SAMPLE_ROWS]
        rows = [row for row in read if not isinstance(row, Bad)]
        bad = next((row for row in read if isinstance(row, Bad)), None)
        pin = {"sha256": locations.digest(found)}
        files = found[0].name if len(found) == 1 else f"{len(found)} files, {found[0].name} to {found[-1].name}"
    stem = re.sub(r"\W+", "-", location.rstrip("/").rpartition("/")[2].partition(".")[0]).strip("-") or "data"
    first_bad = f"; {len(read) - len(rows)} bad rows, the first: {bad.detail}" if bad else ""
    return rows, f"{files}: {len(rows)} rows looked at{first_bad}", {"kind": "file", "name": stem, "path": location, **pin}


def _on_hub(location: str) -> tuple[list[Object], str, dict[str, Any]]:
    import huggingface_hub  # takes a second

    match = HUB_PATH.fullmatch(location)
    assert match is not None  # ``_is_dataset`` saw to it
    repository = match["repository"]
    try:
        commit = huggingface_hub.HfApi().dataset_info(repository, revision=match["revision"]).sha
    except Exception as error:
        msg = f"{location}: the hub cannot be read ({one_line(error)}); check name, revision, HF_TOKEN and network"
        raise MissingInput(msg) from error
    facts = next((facts for facts in presets().values() if facts.hub == repository), None)
    place = {"kind": "huggingface", "name": repository.rpartition("/")[2], "dataset": repository, "revision": str(commit)}
    place |= {"subset": facts.subset, "split": facts.split} if facts else {}
    from stillhouse.sources import huggingface

    spec = HuggingFace(**place, license=NOT_STATED, category="other", columns={"prompt": "unknown"})
    rows = [row for _, row in islice(huggingface.rows(spec), SAMPLE_ROWS) if not isinstance(row, Bad)]
    return rows, f"{repository}@{commit}, split {spec.split}: {len(rows)} rows looked at", place


def _mapped(rows: Sequence[Object], location: str, place: dict[str, Any]) -> dict[str, Any]:
    """The source with its mapping: of the preset of this name, a release, a preset of these columns, or guessed."""
    named = next((name for name, facts in presets().items() if facts.hub == place.get("dataset") and not facts.form), None)
    if named:
        return {"kind": "preset", "name": named, "revision": place["revision"]}
    if form := guessing.release(rows):
        return {**place, "kind": form, "license": NOT_STATED}
    mapping = _mapping(rows)
    if mapping is None and (inner := guessing.unwrapped(rows)):
        mapping = {"inside": inner[0], **(_mapping(inner[1]) or {})}
    if mapping is None:
        msg = f"{location}: no column looks like a question ({', '.join(rows[0])}); write a recipe, see docs/data.md"
        raise BadConfig(msg)
    return {**place, "license": NOT_STATED, **mapping}


def _mapping(rows: Sequence[Object]) -> dict[str, Any] | None:
    like = guessing.like_a_preset(rows)
    return like[1] if like else guessing.guess(rows)


def _read(source: dict[str, Any], rows: Sequence[Object]) -> tuple[list[Question], Counter[str], list[str], Counter[str]]:
    unmapped: Counter[str] = Counter()
    try:
        spec = TypeAdapter[Any](Spec).validate_python({**source, "max_bad_rate": 1})
    except ValidationError as error:
        msg = f"the guessed source is not valid: {one_line(error)}; write a recipe, see docs/data.md"
        raise BadConfig(msg) from error
    resolved = spec.resolved() if isinstance(spec, Preset) else spec
    make: Any = release.questions_of if isinstance(resolved, Release) else columns.questions
    read = list(bounded(make(resolved, enumerate(rows, start=1), unmapped), "row", 1))
    dropped = [row for row in read if isinstance(row, Dropped)]
    details = [f"{row.key.rpartition(':')[2]}: {row.reason}: {row.detail}" for row in dropped[:3]]
    return [row for row in read if isinstance(row, Question)], Counter(row.reason for row in dropped), details, unmapped
