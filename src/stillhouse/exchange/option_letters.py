"""Multiple choice: the options in the prompt, and the letter of the right one as the reference."""

import random
import string
from collections.abc import Sequence
from typing import Any

from stillhouse.exchange.record import Unfit

LETTERS = string.ascii_uppercase
INSTRUCTION = "Exactly one choice is right. Answer with its letter."


def lettered(text: str, options: Sequence[str]) -> str:
    """The question, then one line ``A) …`` per option."""
    return "\n".join([text, *(f"{letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))])


def prompt(text: str, options: Sequence[str]) -> str:
    """The question with its options and how to answer it."""
    return f"{lettered(text.strip(), options)}\n\n{INSTRUCTION}"


def options(path: str, value: Any) -> list[str]:
    """The options as texts: of a list, of ARC's ``text`` beside ``label``, or of an object by letter. Raises Unfit."""
    if isinstance(value, dict):
        value = value["text"] if isinstance(value.get("text"), list) else list(value.values())
    if not isinstance(value, list) or not 2 <= len(value) <= len(LETTERS):
        what = f"{len(value)} options" if isinstance(value, list) else type(value).__name__
        msg = f"{path}: {what}; expected a list of 2 to {len(LETTERS)}"
        raise Unfit(msg)
    return [str(option).strip() for option in value]


def letter(reference: Any, texts: Sequence[str], first: int) -> str:
    """The letter of the right option: from its letter, its text or its number, counted from ``first``. Raises Unfit."""
    index = _index(reference, texts, first)
    if index is None or not 0 <= index < len(texts):
        msg = f"reference {reference!r} is neither a letter nor a number nor the text of one of {len(texts)} options"
        raise Unfit(msg)
    return LETTERS[index]


def shuffled(text: str, texts: Sequence[str]) -> list[str]:
    """The options in an order that the question's text decides: a data set may put the right one first."""
    order = list(texts)
    random.Random(f"choices/{text}").shuffle(order)
    return order


def _index(reference: Any, texts: Sequence[str], first: int) -> int | None:
    if isinstance(reference, int) and not isinstance(reference, bool):
        return reference - first
    word = str(reference).strip()
    bare = word.strip("().: ")
    if len(bare) == 1 and bare.upper() in LETTERS[: len(texts)]:
        return LETTERS.index(bare.upper())
    if word in texts:
        return texts.index(word)
    return int(word) - first if word.isdecimal() else None
