r"""A text -> the formula that math-verify takes for its answer: the last ``\boxed{…}``, or the one formula the text consists of.

math-verify looks for phrases such as *final answer is*, for formulas between delimiters and for boxes, and takes what ends last.
Told here is only where these agree; None stands for: ask it.
"""

import re
from dataclasses import dataclass

BOX = "\\boxed{"
_CLOSING = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}
_OPENED = re.compile(r"(\$\$|\$|\\\(|\\\[)\s*$")
_CLOSED = re.compile(r"\s*(\$\$|\$|\\\)|\\\])")
# Nothing that opens or closes a formula or a box, or goes on with a list or a percent sign.
_HARMLESS = re.compile(r"[^$\\{}\[\]%]*")
_GOES_ON = re.compile(r"\s*(?:,|and|or|%|[Pp]ercent|[Pp]ct)")
_DOLLAR = re.compile(r"(?<!\\)\$")
_PHRASE = re.compile(r"final answer", re.IGNORECASE)
_FORMULA = re.compile(r"(?:\$\$([^$]+)\$\$|\$([^$\n]+)\$|\\\(((?:[^\\\n]|\\[^()\n])+)\\\)|\\\[((?:[^\\\n]|\\[^\[\]\n])+)\\\])\.?")


@dataclass(frozen=True)
class Formula:
    """``latex``: read as LaTeX, else as plain text."""

    text: str
    latex: bool


def formula(text: str) -> Formula | None:
    """The formula a text answers with."""
    text = text.strip()
    if "\\boxed" in text or "\\fbox" in text:
        content = _boxed(text)
        return None if content is None else Formula(content, latex=True)
    if whole := _FORMULA.fullmatch(text):
        return Formula(next(filter(None, whole.groups())), latex=True)
    if _HARMLESS.fullmatch(text):
        # A full stop ends the sentence; after a fraction math-verify reads it as a decimal point.
        return Formula(text.removesuffix(".") if text[:-1].lstrip("-").isdigit() else text, latex=False)
    return None


def _boxed(text: str) -> str | None:
    """What the only box of a text holds, if nothing around it changes what math-verify makes of it."""
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
    """Whether a formula opened earlier may still be open."""
    unclosed = before.count("\\(") != before.count("\\)") or before.count("\\[") != before.count("\\]")
    return unclosed or len(_DOLLAR.findall(before)) % 2 == 1 or before.endswith("$")


def _phrase_is_harmless(before: str, after: str, opened: re.Match[str] | None) -> bool:
    """*final answer* takes precedence: it may stand only right before the box, without another formula between."""
    said = list(_PHRASE.finditer(before))
    if _PHRASE.search(after) or (said and re.search(r"\sis", after)):
        return False
    between = before[said[-1].end() : opened.start() if opened else len(before)] if said else ""
    return len(said) < 2 and _HARMLESS.fullmatch(between) is not None


def closing_brace(text: str, opening: int) -> int | None:
    """Where the brace at ``opening`` is closed; None where it is not."""
    depth = 0
    for found in re.compile(r"[{}]").finditer(text, opening):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return found.start()
    return None
