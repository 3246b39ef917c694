"""What keeps a question out for what it is: one named rule each, in the order in which they are asked (DeepDistill §2.2, Fig. 6).

DeepDistill names the rules on Unicode, on empty and incomplete questions, on URLs, tables and figures; it gives no threshold.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Literal

from pydantic import Field

from stillhouse.curation.normalised import Reading, asked
from stillhouse.vocabulary.rows import Question
from stillhouse.vocabulary.settings import StageConfig

RuleName = Literal["empty_prompt", "missing_reference", "length", "unicode", "incomplete", "url", "table_or_figure", "language"]

REFERENCE_COLUMNS = {
    "math": "reference_answer", "science": "reference_answer", "code": "test_cases", "instruction_following": "constraints",
}  # fmt: skip
"""What verifying a category takes; the others are scored without a reference."""


class Filters(StageConfig):
    """Which rules are asked, and their thresholds."""

    off: tuple[RuleName, ...] = ()
    """Rules that are not asked."""
    min_characters: int = Field(4, ge=0)
    """Shortest question, in characters of its user turns; the paper gives no value."""
    max_characters: int = Field(30_000, ge=1)
    """Longest question, in characters of its user turns; the paper gives no value."""
    max_sign_share: float = Field(0.15, ge=0, le=1)
    """Unicode rule: the largest share of characters that belong to no text: control, private, unassigned and replacement
    characters, pictures and emoji. Letters of every script, digits and mathematical symbols are text. The paper drops a high
    proportion of Unicode characters and gives no value."""
    languages: tuple[str, ...] = ()
    """Languages to keep, as ISO 639-1 codes; empty keeps all. A question whose language cannot be told is kept."""


def _empty_prompt(reading: Reading, _: Filters) -> str | None:
    return None if asked(reading.question.messages).strip() else "no user turn says anything"


def _missing_reference(reading: Reading, _: Filters) -> str | None:
    question = reading.question
    return None if has_reference(question.category, question) else _needs(question.category)


def has_reference(category: str, question: Question) -> bool:
    """Whether the question has what verifying the category takes."""
    column = REFERENCE_COLUMNS.get(category)
    return column is None or bool((getattr(question, column) or "").strip())


def _needs(category: str) -> str:
    return f"{category} questions are verified by {REFERENCE_COLUMNS[category]}"


def _length(reading: Reading, filters: Filters) -> str | None:
    size = len(asked(reading.question.messages))
    if filters.min_characters <= size <= filters.max_characters:
        return None
    return f"{size} characters, {filters.min_characters} to {filters.max_characters} are kept"


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def _unicode(reading: Reading, filters: Filters) -> str | None:
    # Not the normalised prompt: NFKC makes letters of some signs, ™ and 🅰 among them.
    text = asked(reading.question.messages)
    counted = Counter(_CONTROL.findall(text) if text.isascii() else text)
    signs = sum(count for sign, count in counted.items() if _is_sign(sign))
    share = signs / max(len(text), 1)
    return f"{share:.2f} of the characters belong to no text" if share > filters.max_sign_share else None


@cache
def _is_sign(character: str) -> bool:
    """Whether the character belongs to no text; geometric shapes such as △ and units such as ° are mathematics."""
    if character in "\t\n\r" or character in "°℃℉" or "\u2190" <= character <= "\u23ff" or "\u25a0" <= character <= "\u25ff":
        return False
    return character == "\ufffd" or unicodedata.category(character) in {"Cc", "Cn", "Co", "Cs", "So"}


# What no question ends with. A colon or "8 + 3 =" may wait for the answer, "find a" may ask for a variable.
_UNFINISHED = re.compile(r"(?:[,(，、（]|\b(?:an|the|of|and|or|with|for|from|to|such that|if|when|where|such as))\s*$")


def _incomplete(reading: Reading, _: Filters) -> str | None:
    """By form alone; ``labels.ask`` has a model judge it."""
    text = reading.prompt
    if found := _UNFINISHED.search(text, max(len(text) - 24, 0)):
        return f"ends with {found[0].strip()!r}"
    if text.count("```") % 2:
        return "a code block is not closed"
    if text.count("\\begin{") != text.count("\\end{"):
        return "a LaTeX environment is not closed"
    return None


_URL = re.compile(r"\b(?:https?|ftp)://|\bwww\.\w")


def _url(reading: Reading, _: Filters) -> str | None:
    found = _URL.search(reading.prompt)
    return f"has {reading.prompt[found.start() : found.start() + 80].split()[0]}" if found else None


_PICTURE = r"(?:table|figure|diagram|graph|chart|picture|image|plot)"
# Bars alone are no table: |x| + |y| = 1; the row of dashes below a table's head is. "In the graph", "in the image" are mathematics.
_TABLE_OR_FIGURE = re.compile(
    rf"\|\s*:?-{{3,}}:?\s*\||<(?:table|img|figure|svg)\b|\\begin\{{(?:tabular|table|figure|tikzpicture)|\\includegraphics|\[asy\]"
    rf"|!\[[^\]]*\]\(|\b(?:the|this) {_PICTURE} (?:below|above|shows?|shown)\b|\b(?:following|adjoining|accompanying) {_PICTURE}\b"
    r"|\b(?:in|from|see) the (?:figure|diagram|chart)\b|如图|下图|上图|图所示|图中|下表|上表|表所示"
)


def _table_or_figure(reading: Reading, _: Filters) -> str | None:
    found = _TABLE_OR_FIGURE.search(reading.prompt)
    return f"has {found[0]!r}" if found else None


def _language(reading: Reading, filters: Filters) -> str | None:
    spoken = reading.question.language
    if not filters.languages or spoken is None or spoken in filters.languages:
        return None
    return f"{spoken}, kept: {', '.join(filters.languages)}"


RULES: dict[RuleName, Callable[[Reading, Filters], str | None]] = {
    "empty_prompt": _empty_prompt, "missing_reference": _missing_reference, "length": _length, "unicode": _unicode,
    "incomplete": _incomplete, "url": _url, "table_or_figure": _table_or_figure, "language": _language,
}  # fmt: skip
"""Each says why a question is dropped, None where it has no objection."""


def broken(reading: Reading, filters: Filters) -> tuple[str, str] | None:
    """The first rule that the question breaks, and how; None where it breaks none."""
    for name, rule in RULES.items():
        if name not in filters.off and (detail := rule(reading, filters)):
            return name, detail
    return None
