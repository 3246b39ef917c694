r"""Words in formulas: which letters are words, which words only qualify, and answers that are nothing but words."""

import re
import unicodedata
from collections.abc import Sequence

from stillhouse.verification.exact.lexing import WORDS, Token, Tokens
from stillhouse.verification.exact.number_words import NUMBER_WORDS, number_in_words
from stillhouse.verification.exact.units import COUNTED, MULTIPLIERS, UNITS
from stillhouse.verification.exact.values import Words

_QUALIFIER = re.compile(r"(?:for (?:any|all|every|each|some)|where|with|in which)\b|其中", re.IGNORECASE)
_BARE_WORDS = re.compile(r"(?<![A-Za-z\\_^])([A-Za-z]{2,}(?:[ -]+[A-Za-z]{2,})*)(?![A-Za-z(])")
_SHORT = frozenset(
    [
        "yes",
        "no",
        "odd",
        "red",
        "true",
        "false",
        "none",
        "min",
        "day",
        "men",
        "sec",
        "hr",
        "hrs",
        "mph",
        "day",
        "cm",
        "mm",
        "km",
        "kg",
        "ft",
        "lb",
        "oz",
        "mi",
        "in",
    ]
)
_PLAIN_WORDS = re.compile(r"(?:\\text ?\{[^{}]*\}|[A-Za-z0-9 ,.'&()\u3400-\u9fff①-⓿-])+")
_SYNONYMS = {
    "对": "是", "正确": "是", "错": "否", "不是": "否", "错误": "否", "不正确": "否", "inf": "infinity", "dne": "does not exist",
    "no solutions": "no solution", "none": "none", "undefined": "does not exist",
    "周一": "星期一", "周二": "星期二", "周三": "星期三",
    "周四": "星期四", "周五": "星期五", "周六": "星期六", "周日": "星期日", "星期天": "星期日",
}  # fmt: skip
_DATE = re.compile(
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|"
    r"monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b", re.IGNORECASE,
)  # fmt: skip
_FUNCTION_LIKE = re.compile(r"\\(?!text)[A-Za-z]+|[\^_=<>+*/|!]")


def marked(text: str) -> str:
    r"""The formula with plain words of it inside ``\text``: ``1 million`` becomes ``1 \text{million}``; letters stay letters."""
    parts = re.split(r"(\\text ?\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|\\begin\{[^{}]*\}|\\[A-Za-z]+ ?(?:\{[A-Za-z]+\})?)", text)
    return "".join(_split_text(part) if number % 2 else _BARE_WORDS.sub(_as_text, part) for number, part in enumerate(parts))


_INSIDE = re.compile(r"\\text ?\{([^{}]*)\}")
_JOINING = re.compile(r"(\b(?:and|or|to)\b|[或和与且,;])")
_FORMULA = re.compile(r"[A-Za-z0-9+\-*/^=(). ]+")
_LED_BY_NUMBER = re.compile(r"\s*(\(?-?\d[\d.,/:]*\)?)\s*(.*)", re.DOTALL)


def _split_text(part: str) -> str:
    r"""Words that join, numbers and lettered choices inside ``\text`` as tokens of their own: ``\text{5 cats and }``."""
    match = _INSIDE.fullmatch(part)
    if match is None or not match[1].strip():
        return "" if match else part
    return " ".join(_piece(piece) for piece in _JOINING.split(match[1]) if piece.strip())


def _piece(piece: str) -> str:
    if piece.strip() in (",", ";"):
        return piece.strip()
    if choice := re.fullmatch(r"\s*\(?([A-Z])\)?[.:]?\s*", piece):
        return choice[1] if "(" in piece else f"\\text{{{choice[1]}}}"
    if _FORMULA.fullmatch(piece) and re.search(r"[-+*/^=]", piece.strip(" -")) and not re.search(r"[A-Za-z]{3}", piece):
        return piece
    if led := _LED_BY_NUMBER.fullmatch(piece):
        return f"{led[1]} \\text{{{led[2]}}}" if led[2] else led[1]
    return f"\\text{{{piece}}}"


def _as_text(match: re.Match[str]) -> str:
    word = match[1]
    if WORDS.fullmatch(word):
        return word
    lower = word.lower()
    known = lower in _SHORT or word in UNITS or lower in MULTIPLIERS or lower in NUMBER_WORDS or lower in ("and", "or")
    longest = max(map(len, re.split(r"[ -]+", word)))
    if known or (longest >= 4 and not word.isupper()) or (" " in word and longest >= 3):
        return f"\\text{{{word}}}"
    return word


def words(text: str) -> Words | None:
    """The answer if it is nothing but words, a name, a date, or letters in their order; None for mathematics."""
    if not _PLAIN_WORDS.fullmatch(text) or _FUNCTION_LIKE.search(text):
        return None
    bare = re.sub(r"\\text ?\{([^{}]*)\}", r" \1 ", text).strip()
    if re.fullmatch(r"[①-⓿ ,]+", bare):
        return Words("".join(sorted(re.sub(r"[ ,]", "", bare))))
    if number_in_words(bare.lower()) is not None:
        return None
    if re.search(r"\d", bare):
        return Words(normal(bare)) if _DATE.search(bare) and not re.search(r"\d{5}", bare) else None
    if re.search("[\u3400-\u9fff]", bare):
        counted = re.fullmatch("[零〇一二两三四五六七八九十百千万]+(.+)", bare)
        is_word = not re.search("[A-Za-z或和与]", bare) and not (counted and (counted[1] in UNITS or counted[1] in COUNTED))
        return Words(normal(bare)) if is_word else None
    return _latin_words(bare, text)


def _latin_words(bare: str, text: str) -> Words | None:
    """Words of Latin letters: a name, letters in their order, or the letter of a choice; a lone letter is a symbol."""
    letters = re.sub(r"[^A-Za-z]", "", bare)
    if "," in bare or re.search(r"\b(?:and|or)\b", bare):
        return None
    if re.fullmatch(r"[A-Z]{2,}", bare):
        return Words(_SYNONYMS.get(bare.lower(), bare))
    if WORDS.fullmatch(bare) or len(letters) < 2:
        is_choice = re.fullmatch(r"\(?[A-Z]\)?\.?", bare) and text != bare
        return Words(letters) if is_choice else None
    if "(" in bare and not re.search(r"[A-Za-z]{3}", bare):
        return None
    is_name = re.fullmatch(r"[A-Z][a-z]{2}", bare) and re.search(r"[aeiouy]", bare.lower())
    is_word = is_name or "\\text" in text or re.search(r"[A-Za-z]{4}", bare) or bare.lower() in _SHORT
    return Words(normal(bare)) if is_word else None


def normal(text: str) -> str:
    """Words in one form: lower case, no marks, no articles."""
    text = unicodedata.normalize("NFKD", text)
    text = "".join(character for character in text if not unicodedata.combining(character))
    text = re.sub(r"\\text\w* ?\{([^{}]*)\}", r" \1 ", text)
    text = re.sub(r"[^\w\s]|_", " ", text.lower())
    text = " ".join(word for word in text.split() if word not in ("the", "a", "an"))
    if _DATE.search(text) and (numbers := re.findall(r"\b\d+(?=(?:st|nd|rd|th)?\b)", text)):
        # *15 March* and *March 15th* are one day.
        text = " ".join([*(word for word in text.split() if not word[0].isdigit() and word != "of"), *numbers])
    return _SYNONYMS.get(text, text)


def without_qualifier(listed: Tokens) -> Sequence[Token]:
    """The tokens before words such as *for all x*, which say of which letters a formula speaks."""
    for position, token in enumerate(listed):
        if position and token.kind in ("text", "word") and _QUALIFIER.match(token.text.strip(" ,(")):
            return listed[:position]
    return listed
