"""Text -> the words by which questions are compared and counted.

A word is a run of letters, a number (``1,000`` is ``1000``), one Chinese, Japanese or Korean character, or one operator or other
sign. Punctuation, brackets, ``$`` and back slashes are none, so that commas and LaTeX's delimiters make no difference, while
"8 - 3" is not "8 * 3" and 3.5 is not 35.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_SYLLABLES = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_MARKS = re.escape(".,;:!?\"'`“”‘’«»…()[]{}$\\|&@#~、。，；：！？（）「」《》")
# A minus is a word, a hyphen between letters is none.
_WORD = re.compile(
    rf"[^\W\d_{_SYLLABLES}]+|\d+(?:\.\d+)*|[{_SYLLABLES}]|(?<![^\W\d_])-|-(?![^\W\d_])|[^\w\s\-{_MARKS}]"
)  # fmt: skip
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_OPERATORS = frozenset(sign for sign in map(chr, range(0x80, 0x3000)) if unicodedata.category(sign) == "Sm")
"""Operators beyond ASCII."""


def words(text: str) -> list[str]:
    """The words of a text that ``identity.normalise`` made."""
    return _WORD.findall(_THOUSANDS.sub("", text) if "," in text else text)


def quantities(found: Sequence[str]) -> list[str]:
    """The numbers and operators among the words, in order: what tells two questions made from one template apart."""
    # Of the words in ASCII those before the letters are just the numbers and operators.
    return [word for word in found if word < "a" or (word > "\x7f" and word in _OPERATORS)]


def contradict(some: Sequence[str], others: Sequence[str]) -> bool:
    """Whether each text has a number or operator that the other lacks or has less often, as two questions from one template do.

    A text that only leaves some out, or only adds some, does not contradict: it may be a paraphrase or have a preface.
    """
    first, second = Counter(quantities(some)), Counter(quantities(others))
    return bool(first - second) and bool(second - first)


def shingles(found: Sequence[str], size: int) -> list[str]:
    """All runs of ``size`` words; of a shorter text the text itself."""
    if len(found) <= size:
        return [" ".join(found)]
    return [" ".join(run) for run in zip(*(found[start:] for start in range(size)), strict=False)]
