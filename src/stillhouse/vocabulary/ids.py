"""Content ids: equal contents get equal ids, on every machine and in every release."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence

from stillhouse.vocabulary.rows import Message

LONGEST_ID = 200
"""Characters of an id that a user gives."""


def normalise(text: str) -> str:
    """Text for comparison by equality: NFKC, lower case, single spaces."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip().lower()


def content_id(*texts: str) -> str:
    """Sixteen hex digits that name the texts; the boundaries count, so ("a", "bc") differs from ("ab", "c")."""
    return hashlib.sha256(json.dumps(texts, ensure_ascii=False).encode()).hexdigest()[:16]


def prompt_text(messages: Sequence[Message]) -> str:
    """The conversation as one text, for hashing and comparison."""
    return "\n".join(f"{message['role']}: {message['content']}" for message in messages)


def flaw(own_id: str) -> str | None:
    """Why a text cannot be the id of a row: keys of responses and dropped rows are written with it; None if it can."""
    if not own_id.strip():
        return "is empty"
    if len(own_id) > LONGEST_ID:
        return f"has {len(own_id)} characters, {LONGEST_ID} are allowed"
    if sign := next((sign for sign in own_id if sign in "/\\*," or not sign.isprintable()), None):
        return f"has {sign!r} in it, which keys of rows give a meaning; write - in its place"
    return "is no name" if own_id in {".", ".."} else None


def question_id(messages: Sequence[Message], reference: str | None) -> str:
    """The id of a question: a hash of its normalised prompt and its reference."""
    return prompt_id(normalise(prompt_text(messages)), reference)


def prompt_id(prompt: str, reference: str | None) -> str:
    """``question_id`` from a prompt that is already normalised."""
    return content_id(prompt, reference or "")
