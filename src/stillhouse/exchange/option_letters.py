"""Multiple choice: the options in the prompt, and the letter of the right one as the reference."""

import random
import re
import string
from collections.abc import Sequence
from typing import Any

from stillhouse.exchange.column_paths import loaded
from stillhouse.exchange.record import Unfit

LETTERS = string.ascii_uppercase
_LABELLED = re.compile(r"\(?([A-Za-z])\s?[).:]\s*(?=\S)(.*)", re.DOTALL)
"""An option that begins with its own letter: ``A) 3``, ``(b) 3``."""
TEXT_KEYS, LABEL_KEYS = ("text", "content", "value", "option"), ("label", "key", "letter", "id")
"""Keys of an option that is an object."""
INSTRUCTION = "Exactly one choice is right. Answer with its letter."


def lettered(text: str, options: Sequence[str]) -> str:
    """The question, then one line ``A) …`` per option."""
    return "\n".join([text, *(f"{letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))])


def prompt(text: str, options: Sequence[str]) -> str:
    """The question with its options and how to answer it."""
    return f"{lettered(text.strip(), options)}\n\n{INSTRUCTION}"


def options(path: str, value: Any) -> list[str]:
    """The options as texts, without letters of their own. Raises Unfit.

    They come as a list of texts or of objects, as ARC's ``text`` beside ``label``, as an object by letter, or as the JSON of these.
    """
    value = loaded(value)
    if isinstance(value, dict):
        value = value["text"] if isinstance(value.get("text"), list) else list(value.values())
    if not isinstance(value, list) or not 2 <= len(value) <= len(LETTERS):
        what = f"{len(value)} options" if isinstance(value, list) else type(value).__name__
        msg = f"{path}: {what}; expected a list of 2 to {len(LETTERS)}"
        raise Unfit(msg)
    texts = [str(_of(option, TEXT_KEYS)).strip() for option in value]
    return [_LABELLED.sub(r"\2", text) for text in texts] if _own_letters(texts) else texts


def labels(value: Any) -> list[str]:
    """What the options are called by the reference, such as ARC's ``label``; empty if nothing says it."""
    value = loaded(value)
    if isinstance(value, dict):
        named = value.get("label") if isinstance(value.get("text"), list) else list(value)
        return [str(label) for label in named] if isinstance(named, list) else []
    if isinstance(value, list) and all(isinstance(option, dict) and _of(option, LABEL_KEYS) is not option for option in value):
        return [str(_of(option, LABEL_KEYS)) for option in value]
    return []


def _of(option: Any, keys: Sequence[str]) -> Any:
    """The value of the first of these keys that an option has; the option itself if it has none."""
    return next((option[key] for key in keys if key in option), option) if isinstance(option, dict) else option


def _own_letters(texts: Sequence[str]) -> bool:
    """Whether the options begin with A, B, C … in order."""
    found = [_LABELLED.fullmatch(text) for text in texts]
    return all(match and match[1].upper() == letter for match, letter in zip(found, LETTERS, strict=False))


def letter(reference: Any, texts: Sequence[str], first: int, own_labels: Sequence[str] = ()) -> str:
    """The letter of the right option: from its label, its letter, its text or its number, counted from ``first``. Raises Unfit."""
    word = str(reference).strip()
    index = own_labels.index(word) if word in own_labels else _index(reference, texts, first)
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
    if (text := _LABELLED.sub(r"\2", word) if word not in texts else word) in texts:
        return texts.index(text)
    return int(word) - first if word.isdecimal() else None
