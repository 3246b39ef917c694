"""The numbers and operators of a text, in whatever form they are written: they tell apart two questions made from one template.

"thrice", "three times" and "3 times" state one number, "twenty-five" is 25, "2.50" is 2.5, "50 %" is half. English number words
only: in a text of another language the digits decide.
"""

import hashlib
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES: dict[str, int] = {word: value for value, word in enumerate(_SMALL)} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
_MULTIPLIERS: dict[str, int] = {
    "decade": 10, "decades": 10, "dozen": 12, "dozens": 12, "hundred": 100, "thousand": 1000, "million": 10**6,
    "billion": 10**9,
}  # fmt: skip
_FRACTIONS: dict[str, float] = {"half": 1 / 2, "halves": 1 / 2, "quarter": 1 / 4, "quarters": 1 / 4} | {
    word + plural: 1 / value
    for value, word in enumerate(("third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"), start=3)
    for plural in ("", "s")
}
_IMPLIED: dict[str, str] = {
    "one": "1", "once": "1", "single": "1", "both": "2", "couple": "2", "pair": "2", "twice": "2", "double": "2", "doubles": "2",
    "doubled": "2", "twofold": "2", "thrice": "3", "triple": "3", "triples": "3", "tripled": "3", "trio": "3", "threefold": "3",
    "quadruple": "4", "quadrupled": "4", "fourfold": "4", "week": "7", "weekly": "7", "fortnight": "14",
}  # fmt: skip
"""Words that may stand for a number, or for none: "one" as in "one another", "second" as in "the second train"."""
_PERCENT = frozenset(("%", "percent"))
_SLASHES = frozenset(("/", "\u2044"))
"""Division, and the fraction slash, to which signs such as ¾ are normalised."""
_OPERATORS = frozenset(sign for sign in map(chr, range(0x80, 0x3000)) if unicodedata.category(sign) == "Sm")
"""Operators beyond ASCII."""
_NUMERIC = frozenset((*_VALUES, *_MULTIPLIERS, *_FRACTIONS, *_IMPLIED, "percent"))
_INSIDE = frozenset((("and",), ("and", "a"), ("a",)))
"""Words inside a number."""
_EXACT_DIGITS = 15
"""Longest number that is compared by value; a longer one is compared as text."""


@dataclass(frozen=True, slots=True)
class Quantities:
    """What a text says of numbers."""

    stated: Counter[str]
    """Numbers, operators, and pairs of numbers around an operator, such as "8-3"."""
    implied: Counter[str]
    """Numbers that words such as "half" may stand for: they answer to a number of the other text, and ask for none."""


def quantities(text_words: Sequence[str]) -> Quantities:
    """The numbers and operators among the words of ``words.words``."""
    # Among ASCII words, those sorted before the letters are exactly the numbers and operators.
    places = [
        place
        for place, word in enumerate(text_words)
        if word < "a" or word in _NUMERIC or (word > "\x7f" and (word in _OPERATORS or word.isdecimal()))
    ]
    stated, implied = Counter[str](), Counter[str]()
    for run in _runs(text_words, places):
        if len(run) == 1 and run[0].isdecimal() and len(run[0]) <= _EXACT_DIGITS and run[0] != "00":
            stated[str(int(run[0]))] += 1
            continue
        expression: list[str] = []
        for text, is_stated in _parsed(run):
            (stated if is_stated else implied)[text] += 1
            expression.append(text)
        # Order counts only around an operator: 8 - 3 is not 3 - 8.
        for left, sign, right in zip(expression, expression[1:], expression[2:], strict=False):
            if _is_operator(sign) and not (_is_operator(left) or _is_operator(right)):
                stated[left + sign + right] += 1
    return Quantities(stated, implied)


def contradict(some: Quantities, others: Quantities) -> bool:
    """Whether each text states a number or operator that the other lacks or has less often, like two questions from one template.

    A text that only omits some, or only adds some, does not contradict: it may be a paraphrase or have a preface.
    """
    return _lacks(some, others) and _lacks(others, some)


def agreement(some: Quantities, others: Quantities) -> float:
    """The share of all stated quantities that the other text has too, 0 to 1; 0 if one of the texts states none."""
    if not some.stated or not others.stated:
        return 0.0
    return (_answered(some, others) + _answered(others, some)) / (some.stated.total() + others.stated.total())


def signature(text: Quantities) -> int:
    """A number of 64 bits, equal for texts that state the same numbers and operators, in whatever order."""
    return _hash(" ".join(sorted(text.stated.elements())))


class QuantityTable:
    """The quantities of many texts, 8 bytes for each."""

    def __init__(self) -> None:
        self._values, self._starts = array("Q"), array("Q", [0])

    def add(self, text: Quantities) -> None:
        """Add the quantities of the next text."""
        # The last bit says whether a number is stated.
        self._values.extend(_hash(value) | 1 for value in text.stated.elements())
        self._values.extend(_hash(value) & ~1 for value in text.implied.elements())
        self._starts.append(len(self._values))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def taken(self, rows: npt.NDArray[np.int64]) -> "QuantityTable":
        """The quantities of these rows, in their order."""
        chosen = QuantityTable()
        for row in rows.tolist():
            chosen._values.extend(self._of(row))
            chosen._starts.append(len(chosen._values))
        return chosen

    def signatures(self) -> npt.NDArray[np.uint64]:
        """A number for each text, equal for texts that state the same quantities in whatever order, (n_texts,)."""
        stated = (sorted(value for value in self._of(row) if value & 1) for row in range(len(self)))
        return np.fromiter((_hash(",".join(map(str, values))) for values in stated), np.uint64, len(self))

    def _of(self, row: int) -> Sequence[int]:
        return self._values[self._starts[row] : self._starts[row + 1]]

    def __getitem__(self, row: int) -> Quantities:
        """The quantities of a text, each by a number of its own instead of its text."""
        values = self._of(row)
        return Quantities(
            Counter(str(value >> 1) for value in values if value & 1), Counter(str(value >> 1) for value in values if not value & 1)
        )


def _lacks(some: Quantities, others: Quantities) -> bool:
    """Whether the first text states a quantity that the other neither states nor implies."""
    return any(count > _available(value, some, others) for value, count in some.stated.items())


def _answered(some: Quantities, others: Quantities) -> int:
    """How many quantities that the first text states the other states or implies."""
    return sum(min(count, _available(value, some, others)) for value, count in some.stated.items())


def _available(value: str, some: Quantities, others: Quantities) -> int:
    """How often the other text can answer to a stated value. What both imply, such as "twice", answers to itself."""
    return others.stated[value] + max(others.implied[value] - some.implied[value], 0)


def _runs(text_words: Sequence[str], places: Sequence[int]) -> Iterator[list[str]]:
    """Numbers and operators that follow each other, with the words between them that belong to a number."""
    run: list[str] = []
    previous = -1
    for place in places:
        between = tuple(text_words[previous + 1 : place]) if run else ()
        if run and (between in _INSIDE and _joins(between, run[-1], text_words[place])):
            run.extend(between)
        elif between or not run:
            yield from [run] if run else []
            run = []
        if not _is_hyphen(text_words, place):
            run.append(text_words[place])
        previous = place
    if run:
        yield run


def _joins(between: Sequence[str], before: str, after: str) -> bool:
    """Whether the words between two numbers make one number of them: "hundred and five", "half a dozen", "three and a half"."""
    if between == ("and",):
        return before in _MULTIPLIERS and after in _VALUES
    if between == ("and", "a"):
        return after in {"half", "quarter"}
    return before == "half" and after in {"dozen", "hundred", "million"}


def _is_hyphen(text_words: Sequence[str], place: int) -> bool:
    """Whether the sign joins a number and a word, as in "15-story" and "covid-19"."""
    if text_words[place] != "-":
        return False
    return any(len(word) > 1 and word.isalpha() and word not in _VALUES for word in text_words[max(place - 1, 0) : place + 2])


def _parsed(run: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """The quantities of words that follow each other: (text, whether it is stated)."""
    place = 0
    while place < len(run):
        word = run[place]
        value, end = _number(run, place)
        if value is None:
            text, is_stated, end = _without_digits(run, place)
        else:
            text, is_stated, end = _scaled(run, value, place, end)
        # Noughts of a time, 8:00, say nothing.
        if word != "00" and text:
            yield text, is_stated
        place = end


def _without_digits(run: Sequence[str], place: int) -> tuple[str, bool, int]:
    """The quantity of a word that is no number by itself: (text, whether it is stated, where it ends)."""
    word = run[place]
    if word == "half" and run[place + 1 : place + 2] == ["a"]:
        return _plain(_MULTIPLIERS[run[place + 2]] / 2), True, place + 3
    if word in _FRACTIONS:
        return _plain(_FRACTIONS[word]), False, place + 1
    return ("" if word in {"a", "and"} else _IMPLIED.get(word, word)), word not in _IMPLIED, place + 1


def _scaled(run: Sequence[str], value: float, place: int, end: int) -> tuple[str, bool, int]:
    """The quantity of a number with the percent sign or the fraction after it: (text, whether it is stated, where it ends)."""
    after = list(run[end : end + 3])
    if after[:1] and after[0] in _PERCENT:
        return _plain(value / 100), True, end + 1
    if after[:1] and after[0] in _FRACTIONS and (value == 1 or after[0].endswith("s")):
        return _plain(value * _FRACTIONS[after[0]]), False, end + 1
    if after[:2] == ["and", "a"] and after[2] in _FRACTIONS:
        return _plain(value + _FRACTIONS[after[2]]), True, end + 3
    if (divided := _proper_fraction(run, place)) is not None:
        return _plain(divided), True, place + 3
    if (divided := _proper_fraction(run, end)) is not None and value.is_integer():
        return _plain(value + divided), True, end + 3
    return _plain(value), list(run[place:end]) != ["one"], end


def _proper_fraction(run: Sequence[str], place: int) -> float | None:
    """The value of a fraction in digits below 1; None if none begins at the place. 12/4 is a division."""
    if len(run) < place + 3 or run[place + 1] not in _SLASHES or run[place + 3 : place + 4] == ["/"]:
        return None
    above, below = _digits(run[place]), _digits(run[place + 2])
    return above / below if above is not None and below and 0 < above < below else None


def _number(run: Sequence[str], place: int) -> tuple[float | None, int]:
    """The number that begins at the place, and where it ends; None if none does."""
    if (digits := _digits(run[place])) is not None:
        end = place + 1
        while end < len(run) and run[end] in _MULTIPLIERS:
            digits, end = digits * _MULTIPLIERS[run[end]], end + 1
        return digits, end
    total, current, end = 0.0, None, place
    for word in run[place:]:
        if word in _VALUES and _may_follow(_VALUES[word], current):
            current = (current or 0.0) + _VALUES[word]
        elif word in _MULTIPLIERS:
            scaled = (current if current is not None else 1.0) * _MULTIPLIERS[word]
            total, current = (total, scaled) if scaled < 1000 else (total + scaled, None)
        elif not (word == "and" and end > place and run[end - 1] in _MULTIPLIERS):
            break
        end += 1
    return (total + (current or 0.0) if end > place else None), end


def _may_follow(value: int, current: float | None) -> bool:
    """Whether a number word goes on with the number so far: "five" after "twenty" or "hundred" does, after "six" it does not."""
    if current is None:
        return True
    return (current % 100 == 0 and current >= 100) or (0 < value < 10 and current % 10 == 0 and current % 100 >= 20)


def _digits(word: str) -> float | None:
    """The value of a number in digits; None for any other word, and for a number too long for a float."""
    if len(word) > _EXACT_DIGITS or word.count(".") > 1 or not word.replace(".", "").isdecimal():
        return None
    return float(word)


def _plain(value: float) -> str:
    """A number as text."""
    return str(int(value)) if value.is_integer() else f"{value:.6g}"


def _is_operator(sign: str) -> bool:
    return not (sign.lstrip(".")[:1].isdecimal() or sign.isalpha())


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")
