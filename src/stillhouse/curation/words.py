"""Split a text into the words by which questions are compared and counted.

A word is a run of letters, a number (``1,000`` is ``1000``), one Chinese, Japanese or Korean character, or one operator or other
sign. Punctuation, brackets, ``$`` and backslashes are left out, so that commas and LaTeX's delimiters make no difference, while
"8 - 3" differs from "8 * 3" and 3.5 from 35.
"""

import re
from collections.abc import Sequence

_SYLLABLES = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_MARKS = re.escape(".,;:!?\"'`“”‘’«»…()[]{}$\\|&@#~、。，；：！？（）「」《》")
# A minus is a word, a hyphen between letters is not.
_WORD = re.compile(
    rf"[^\W\d_{_SYLLABLES}]+|\d+(?:\.\d+)*|(?<![\w.])\.\d+|[{_SYLLABLES}]|(?<![^\W\d_])-|-(?![^\W\d_])|[^\w\s\-{_MARKS}]"
)  # fmt: skip
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_SENTENCE = re.compile(r".+?(?:[.!?:;](?=\s)|[。！？：；\n]|$)\s*|\s+", re.DOTALL)


def words(text: str) -> list[str]:
    """The words of a text that ``ids.normalise`` returned."""
    return _WORD.findall(_THOUSANDS.sub("", text) if "," in text else text)


def sentences(text: str) -> list[str]:
    """The text cut after every sentence, colon and line; joined again they are the text."""
    return _SENTENCE.findall(text)


def shingles(text_words: Sequence[str], size: int) -> list[str]:
    """All runs of ``size`` words; a shorter text is its own only shingle."""
    if len(text_words) <= size:
        return [" ".join(text_words)]
    return [" ".join(run) for run in zip(*(text_words[start:] for start in range(size)), strict=False)]
