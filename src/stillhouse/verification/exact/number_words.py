"""Numbers in words, English and Chinese: *twenty-one*, *minus three*, *two thirds*, 四分之三."""

import re
from fractions import Fraction

from stillhouse.verification.exact.units import MULTIPLIERS

_SMALL = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
NUMBER_WORDS = {word: number for number, word in enumerate(_SMALL)} | {word: 10 * (number + 2) for number, word in enumerate(_TENS)}
_PARTS = {
    "half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
    "halves": 2,
}  # fmt: skip
_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_PLACES = {"十": 10, "百": 100, "千": 1000}
_CHINESE = re.compile(r"[零〇一二两三四五六七八九十百千万半分之负]+")


def number_in_words(text: str) -> Fraction | None:
    """The number that a text is; None for other texts."""
    text = text.strip().lower()
    if _CHINESE.fullmatch(text):
        return _chinese(text)
    words = [word for word in re.split(r"[\s-]+", text) if word != "and"]
    if len(words) > 1 and words[0] in ("minus", "negative"):
        number = number_in_words(" ".join(words[1:]))
        return None if number is None else -number
    if len(words) > 1 and (part := _PARTS.get(words[-1], _PARTS.get(words[-1].removesuffix("s")))) is not None:
        count = 1 if words[:-1] in (["a"], ["one"]) else _whole(words[:-1])
        return None if count is None else Fraction(count, part)
    whole = _whole(words)
    return None if whole is None else Fraction(whole)


def _whole(words: list[str]) -> int | None:
    total, group = 0, 0
    if not words or words[0] not in NUMBER_WORDS:
        return None
    for word in words:
        if word in NUMBER_WORDS:
            group += NUMBER_WORDS[word]
        elif word == "hundred":
            group *= 100
        elif word in MULTIPLIERS and word != "dozen":
            total, group = total + group * MULTIPLIERS[word], 0
        else:
            return None
    return total + group


def _chinese(text: str) -> Fraction | None:
    """三十五, 四分之三, 百分之五十, 一半."""
    if text.startswith("负"):
        number = _chinese(text[1:])
        return None if number is None else -number
    if text in ("半", "一半"):
        return Fraction(1, 2)
    bottom, parts, top = text.partition("分之")
    numbers = [_chinese_whole(part) for part in ((bottom, top) if parts else (text,))]
    if None in numbers or (parts and not numbers[0]):
        return None
    return Fraction(numbers[1] or 0, numbers[0] or 1) if parts else Fraction(numbers[0] or 0)


def _chinese_whole(text: str) -> int | None:
    total, group, digit = 0, 0, None
    for character in text:
        if character in _DIGITS:
            if digit:
                return None
            digit = _DIGITS[character]
        elif character in _PLACES:
            group, digit = group + (1 if digit is None else digit) * _PLACES[character], None
        elif character == "万":
            total, group, digit = (group + (digit or 0)) * 10_000, 0, None
        else:
            return None
    return total + group + (digit or 0) if text else None
