"""Split a text into the words by which questions are compared and counted.

A word is a run of letters, a number (``1,000`` is ``1000``), one Chinese, Japanese or Korean character, or one operator or other
sign. Punctuation, brackets, ``$`` and backslashes are left out, so that commas and LaTeX's delimiters make no difference, while
"8 - 3" differs from "8 * 3" and 3.5 from 35.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_SYLLABLES = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_MARKS = re.escape(".,;:!?\"'`“”‘’«»…()[]{}$\\|&@#~、。，；：！？（）「」《》")
# A minus is a word, a hyphen between letters is not.
_WORD = re.compile(
    rf"[^\W\d_{_SYLLABLES}]+|\d+(?:\.\d+)*|[{_SYLLABLES}]|(?<![^\W\d_])-|-(?![^\W\d_])|[^\w\s\-{_MARKS}]"
)  # fmt: skip
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_OPERATORS = frozenset(sign for sign in map(chr, range(0x80, 0x3000)) if unicodedata.category(sign) == "Sm")
"""Operators beyond ASCII."""


def words(text: str) -> list[str]:
    """The words of a text that ``ids.normalise`` returned."""
    return _WORD.findall(_THOUSANDS.sub("", text) if "," in text else text)


def quantities(text_words: Sequence[str]) -> list[str]:
    """The numbers and operators among the words, in order: they tell apart two questions made from one template."""
    # Among ASCII words, those sorted before the letters are exactly the numbers and operators.
    return [word for word in text_words if word < "a" or (word > "\x7f" and word in _OPERATORS)]


def contradict(some: Sequence[str], others: Sequence[str]) -> bool:
    """Whether each text has a number or operator that the other lacks or has less often, like two questions from one template.

    A text that only omits some, or only adds some, does not contradict: it may be a paraphrase or have a preface.
    """
    first, second = Counter(quantities(some)), Counter(quantities(others))
    return bool(first - second) and bool(second - first)


def shingles(text_words: Sequence[str], size: int) -> list[str]:
    """All runs of ``size`` words; a shorter text is its own only shingle."""
    if len(text_words) <= size:
        return [" ".join(text_words)]
    return [" ".join(run) for run in zip(*(text_words[start:] for start in range(size)), strict=False)]
