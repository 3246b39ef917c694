r"""A reference found in a longer text: after ``####``, in the last ``\boxed{}``, as the letter of an option, or by a pattern."""

import re

from stillhouse.exchange.config import Extraction, ExtractPattern
from stillhouse.exchange.record import Unfit
from stillhouse.verification.exact.extraction import closing_brace
from stillhouse.vocabulary.text import ending

_BOX = re.compile(r"\\(?:boxed|fbox)\s*(?=\{)")
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_LETTER_ALONE = re.compile(r"\(?([A-Z])\)?[.:)]?\s*")
_LETTER_FIRST = re.compile(r"(?:\(([A-Z])\)|([A-Z])[.):])\s")
_LETTER_STATED = re.compile(r"(?i:answer|option|choice)(?:\s+is)?\s*:?\s*[\s$*(]*(?:\\(?:text|boxed|mathrm)\{)*\(?([A-Z])\b")


def extracted(how: Extraction | ExtractPattern, text: str) -> str:
    """The reference in the text. Raises Unfit if the text has none."""
    if isinstance(how, ExtractPattern):
        matches = list(re.finditer(how.regex, text))
        found = (matches[-1][1] if matches[-1].re.groups else matches[-1][0]) if matches else None
        name = f"match of {how.regex!r}"
    else:
        find, name = _WAYS[how]
        found = find(text)
    if found is None or not found.strip():
        msg = f"no {name} in {ending(text, 80)!r}: is extract right for this column?"
        raise Unfit(msg)
    return found.strip()


def boxed(text: str) -> str | None:
    r"""The content of the last ``\boxed{}`` that is closed; None without one."""
    for match in reversed(list(_BOX.finditer(text))):
        end = closing_brace(text, match.end())
        if end is not None:
            return text[match.end() + 1 : end]
    return None


def hash_answer(text: str) -> str | None:
    """What follows the last ``####``, without the commas that group its digits; None without the mark."""
    _, mark, result = text.rpartition("####")
    result = result.strip()
    return (result.replace(",", "") if _GROUPED.fullmatch(result) else result) if mark else None


def letter(text: str) -> str | None:
    """The letter of an option: alone, at the beginning, boxed, or after the last "the answer is"; None without one."""
    text = text.strip()
    if alone := _LETTER_ALONE.fullmatch(text):
        return alone[1]
    if (inside := boxed(text)) and (in_box := _LETTER_ALONE.fullmatch(inside.replace("\\text", "").strip("{} "))):
        return in_box[1]
    if stated := _LETTER_STATED.findall(text):
        return str(stated[-1])
    first = _LETTER_FIRST.match(text)
    return (first[1] or first[2]) if first else None


_WAYS = {"hash_answer": (hash_answer, "####"), "boxed": (boxed, "\\boxed{}"), "letter": (letter, "letter of an option")}
