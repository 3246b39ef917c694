r"""Most answers are plain: an integer, a decimal, a fraction, a sum of roots and letters, a pair of them. These are decided here.

What is plain reads in one way only, and its verdict is that of ``equivalence``; all else is left to the reader of formulas.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from stillhouse.verification.exact import plain_sums
from stillhouse.verification.exact.plain_sums import NotPlain, Terms

LONGEST_PLAIN = 120
"""Characters of a plain answer."""

_NUMBER = re.compile(r"(-?)(?:\\?\$)?(\d{1,15}|[1-9]\d{0,2}(?:,\d{3}){1,4})?(?:\.(\d{1,15}))?( ?\\?%)?", re.ASCII)
_FRACTION = re.compile(
    r"(-?)(?:\\[dt]?frac ?(?:\{(-?\d{1,15})\} ?\{(-?\d{1,15})\}|(\d)(\d))|(\d{1,15})/(\d{1,15}))", re.ASCII
)  # fmt: skip
_BRACKETS = re.compile(r"(?:\\left ?)?([(\[])(.*?)(?:\\right ?)?([)\]])")


@dataclass(frozen=True, slots=True)
class PlainSum:
    """``terms`` over ``divisor``. ``places``: digits after a decimal point, None without one.

    ``listed``: it is written with commas, and so may be a list too.
    """

    terms: Terms
    divisor: int = 1
    places: int | None = None
    percent: bool = False
    listed: bool = False


@dataclass(frozen=True, slots=True)
class PlainGroup:
    """Sums in the brackets ``ends``: a tuple or an interval."""

    ends: str
    items: tuple[PlainSum, ...]


PlainForm = PlainSum | PlainGroup


@lru_cache(maxsize=8192)
def plain(text: str) -> PlainForm | None:
    """What a plain text is; None for one that is not plain."""
    if not text or len(text) > LONGEST_PLAIN:
        return None
    try:
        if text[-1] in ")]" and "," in text and (match := _BRACKETS.fullmatch(text)):
            return PlainGroup(match[1] + match[3], tuple(_item(part.strip()) for part in match[2].split(",")))
        return _sum(text)
    except NotPlain:
        return None


def same_plain(gold: PlainForm, answer: PlainForm) -> bool | None:
    """Whether an answer is the reference; None where digits, percent signs or commas leave it to the rules of ``equivalence``."""
    if isinstance(gold, PlainSum) and isinstance(answer, PlainSum):
        return _same_sum(gold, answer)
    if isinstance(gold, PlainSum) or isinstance(answer, PlainSum):
        return None if any(isinstance(form, PlainSum) and form.listed for form in (gold, answer)) else False
    if len(gold.items) != len(answer.items) or (len(gold.items) == 2 and gold.ends != answer.ends):
        return False
    verdicts = [_same_sum(*pair) for pair in zip(gold.items, answer.items, strict=True)]
    return None if None in verdicts else all(verdicts)


def _item(text: str) -> PlainSum:
    item = _sum(text)
    if item.percent:
        raise NotPlain
    return item


def _sum(text: str) -> PlainSum:
    if (match := _NUMBER.fullmatch(text)) and (match[2] or match[3]):
        whole, places = match[2] or "0", match[3] or ""
        value = int(whole.replace(",", "") + places)
        terms = plain_sums.constant(-value if match[1] else value)
        return PlainSum(terms, 10 ** len(places), len(places) if places else None, bool(match[4]), "," in whole)
    if match := _FRACTION.fullmatch(text):
        top, bottom = (int(part) for part in match.groups()[1:] if part is not None)
        if bottom == 0:
            raise NotPlain
        return PlainSum(plain_sums.constant(-top if match[1] else top), bottom)
    return PlainSum(*plain_sums.read_sum(text))


def _same_sum(gold: PlainSum, answer: PlainSum) -> bool | None:
    if gold.percent != answer.percent:
        return None
    one, other = plain_sums.scaled(gold.terms, answer.divisor), plain_sums.scaled(answer.terms, gold.divisor)
    if one == other:
        return True
    if gold.listed or answer.listed:
        return None
    places = [part.places for part in (gold, answer) if part.places is not None]
    return None if places and not _far_apart(one, other, abs(gold.divisor * answer.divisor), min(places)) else False


def _far_apart(one: Terms, other: Terms, divisor: int, places: int) -> bool:
    """Whether two numbers differ by more than the last place of the coarser one, and by more than a computer's rounding."""
    left, right = plain_sums.number(one), plain_sums.number(other)
    if left is None or right is None:
        return False
    difference = abs(left - right)
    return difference * 10**places > divisor and difference * 10**11 > max(abs(left), abs(right))
