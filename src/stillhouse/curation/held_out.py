"""Questions of the user's own that are kept out of training like a benchmark's: a file of rows, or an artifact of questions.

A file needs no mapping: a question is its ``messages``, or the first of the columns ``COLUMNS`` that it has.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import store, tables
from stillhouse.artifacts.digests import sha256
from stillhouse.artifacts.manifest import Link
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.errors import BadConfig, BadRows, StaleOutput, StillhouseError
from stillhouse.exchange import files
from stillhouse.exchange.bad_rows import Bad
from stillhouse.execution.input_links import fetch
from stillhouse.vocabulary.ids import question_id
from stillhouse.vocabulary.rows import Message, Question

COLUMNS = (
    ("body", "question"), ("instruction", "input"), ("question",), ("prompt",), ("problem",), ("instruction",), ("query",),
    ("text",),
)  # fmt: skip
"""Columns that hold a question, in lower case, one alone or two together; the first that a row has are read."""
PIN = re.compile(r"(?P<location>.+)@(?P<pin>sha256-[0-9a-f]{64}|[0-9a-f]{16})")
DIGEST = "sha256-"


def pinned_location(name: str) -> str:
    """``mine.jsonl`` -> ``mine.jsonl@sha256-DIGEST``; the URI of an artifact of questions -> ``URI@FINGERPRINT``.

    A name with its pin is returned as it is. Raises ValueError if there is nothing, or something else, at the location.
    """
    if PIN.fullmatch(name):
        return name
    try:
        if _is_file(name):
            with files.local(name) as path:
                return f"{name}@{DIGEST}{sha256(path)}"
        manifest = manifests.load(name)
    except StillhouseError as error:
        msg = f"{error}; to name what is elsewhere, add its pin: FILE@sha256-DIGEST, or URI@FINGERPRINT of an artifact"
        raise ValueError(msg) from error
    if manifest.stage != "questions":
        msg = f"{name} is a {manifest.stage} artifact; give an artifact of questions, or a file"
        raise ValueError(msg)
    return f"{name}@{manifest.fingerprint}"


def held_out(name: str) -> list[Question]:
    """The questions at a pinned location. Raises BadConfig if its content has another pin, MissingInput, BadRows."""
    match = PIN.fullmatch(name)
    if match is None:
        msg = f"{name}: has no pin; write FILE@sha256-DIGEST, or URI@FINGERPRINT of an artifact"
        raise BadConfig(msg)
    location, pin = match["location"], match["pin"]
    if pin.startswith(DIGEST):
        with files.local(location) as path:
            if sha256(path) != pin.removeprefix(DIGEST):
                msg = f"{location}: has sha256 {sha256(path)}, the config pins {pin}; restore the file, or pin this one"
                raise BadConfig(msg)
            return list(_rows(path, location))
    if manifests.load(location).fingerprint != pin:
        msg = f"{location} has another fingerprint than {pin}, which the config pins; restore it, or pin this one"
        raise StaleOutput(msg)
    with scratch_directory() as scratch:
        directory = fetch("questions", Link(uri=store.absolute(location), fingerprint=pin), scratch)
        return list(tables.read(directory, Question))


def short_name(name: str) -> str:
    """What evidence and ``allowed`` call a location: the name of the file, or NAME/VERSION of the artifact."""
    match = PIN.fullmatch(name)
    parts = (match["location"] if match else name).rstrip("/").split("/")
    return parts[-1] if _is_file(parts[-1]) else "-".join(parts[-2:])


def _is_file(name: str) -> bool:
    return files.format_of_name(name) is not None


def _rows(path: Path, location: str) -> Iterator[Question]:
    for number, row in files.objects(path):
        text = row.detail if isinstance(row, Bad) else _text(row)
        if isinstance(row, Bad) or not text:
            why = f"not a row ({text})" if isinstance(row, Bad) else f"no question in the columns {', '.join(row) or 'none'}"
            msg = f"{location} line {number}: {why}; a question is in messages, or in one of {', '.join(_names())}"
            raise BadRows(msg)
        messages = [Message(role="user", content=text)]
        yield Question(question_id(messages, None), "other", messages)


def _text(row: Mapping[str, Any]) -> str:
    """The question of a row; empty if no column holds one."""
    columns = {name.lower(): value for name, value in row.items()}
    turns = columns.get("messages") or columns.get("prompt")
    if isinstance(turns, list):
        spoken = (turn for turn in turns if isinstance(turn, dict) and turn.get("role", turn.get("from")) in {"user", "human"})
        return "\n".join(str(turn.get("content", turn.get("value", ""))) for turn in spoken).strip()
    for names in COLUMNS:
        texts = [columns[name] for name in names if isinstance(columns.get(name), str)]
        if len(texts) == len(names):
            return "\n".join(texts).strip()
    return ""


def _names() -> list[str]:
    return sorted({name for names in COLUMNS for name in names})
