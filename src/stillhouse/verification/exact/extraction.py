r"""A text -> the formula that math-verify takes as its answer: the last ``\boxed{…}``, or the only formula in the text.

math-verify looks for phrases such as *final answer is*, for formulas between delimiters and for boxes, and takes the one that ends
last. This module answers only if all of them agree; None means that math-verify must be asked.
"""

import re
from dataclasses import dataclass

BOX = "\\boxed{"
_CLOSING = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}
_OPENED = re.compile(r"(\$\$|\$|\\\(|\\\[)\s*$")
_CLOSED = re.compile(r"\s*(\$\$|\$|\\\)|\\\])")
# Characters that neither open or close a formula or a box, nor continue a list or add a percent sign.
_HARMLESS = re.compile(r"[^$\\{}\[\]%]*")
_GOES_ON = re.compile(r"\s*(?:,|and|or|%|[Pp]ercent|[Pp]ct)")
_DOLLAR = re.compile(r"(?<!\\)\$")
_PHRASE = re.compile(r"final answer", re.IGNORECASE)
_FORMULA = re.compile(r"(?:\$\$([^$]+)\$\$|\$([^$\n]+)\$|\\\(((?:[^\\\n]|\\[^()\n])+)\\\)|\\\[((?:[^\\\n]|\\[^\[\]\n])+)\\\])\.?")


@dataclass(frozen=True)
class Formula:
    """``latex``: the text is LaTeX, else plain text."""

    text: str
    latex: bool


def formula(text: str) -> Formula | None:
    """The formula that a text gives as its answer; None if that is not certain."""
    text = text.strip()
    if "\\boxed" in text or "\\fbox" in text:
        content = _boxed(text)
        return None if content is None else Formula(content, latex=True)
    if whole := _FORMULA.fullmatch(text):
        return Formula(next(filter(None, whole.groups())), latex=True)
    if _HARMLESS.fullmatch(text):
        # After a whole number a full stop ends the sentence; after a fraction math-verify reads it as a decimal point.
        return Formula(text.removesuffix(".") if text[:-1].lstrip("-").isdigit() else text, latex=False)
    return None


def _boxed(text: str) -> str | None:
    """The content of a text's only box, if nothing around it changes how math-verify reads it."""
    start = text.find(BOX)
    if start < 0 or text.count("\\boxed") > 1 or "\\fbox" in text or "I hope" in text:
        return None
    end = closing_brace(text, start + len(BOX) - 1)
    if end is None:
        return None
    before, after = text[:start], text[end + 1 :]
    opened, closed = _OPENED.search(before), _CLOSED.match(after)
    if closed:
        if not opened or _CLOSING[opened[1]] != closed[1] or _opened_earlier(before[: opened.start()]):
            return None
        after = after[closed.end() :]
    elif opened and opened[1] != "$":
        return None
    if not _HARMLESS.fullmatch(after) or (closed and _GOES_ON.match(after)) or not _phrase_is_harmless(before, after, opened):
        return None
    return text[start + len(BOX) : end].strip()


def _opened_earlier(before: str) -> bool:
    """Whether an earlier formula may still be open."""
    unclosed = before.count("\\(") != before.count("\\)") or before.count("\\[") != before.count("\\]")
    return unclosed or len(_DOLLAR.findall(before)) % 2 == 1 or before.endswith("$")


def _phrase_is_harmless(before: str, after: str, opened: re.Match[str] | None) -> bool:
    """Whether *final answer*, which takes precedence, stands only right before the box, with no formula in between."""
    phrases = list(_PHRASE.finditer(before))
    if _PHRASE.search(after) or (phrases and re.search(r"\sis", after)):
        return False
    between = before[phrases[-1].end() : opened.start() if opened else len(before)] if phrases else ""
    return len(phrases) < 2 and _HARMLESS.fullmatch(between) is not None


def closing_brace(text: str, opening: int) -> int | None:
    """The position of the brace that closes the one at ``opening``; None if none does."""
    depth = 0
    for brace in re.compile(r"[{}]").finditer(text, opening):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.start()
    return None
