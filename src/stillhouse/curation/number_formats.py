"""Numbers as other languages write them, in the English form: ``1.234,50`` and ``1 234,50`` are 1234.50.

Where questions are compared by meaning, one may be a translation of the other.
"""

import re

from stillhouse.curation.words import words
from stillhouse.vocabulary.ids import normalise
from stillhouse.vocabulary.languages import language_of

DECIMAL_COMMA = frozenset((
    "bg", "ca", "cs", "da", "de", "el", "es", "et", "fi", "fr", "hr", "hu", "id", "it", "lt", "lv", "nb", "nl", "nn", "no", "pl",
    "pt", "ro", "ru", "sk", "sl", "sr", "sv", "tr", "uk", "vi",
))  # fmt: skip
"""Languages with a comma before the decimals."""
_GROUPS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:[. ]\d{3})+(?!\d)")
_DECIMALS = re.compile(r"(?<![\d.,])(\d+),(\d+)(?![\d,])")


def words_with_english_numbers(text: str) -> list[str]:
    """The words of a text as ``words.words`` has them, its numbers in the English form."""
    normalised = normalise(text)
    text_words = words(normalised)
    if not _GROUPS.search(normalised) and not _DECIMALS.search(normalised):
        return text_words
    return words(in_english_form(normalised)) if language_of(text, frozenset(text_words)) in DECIMAL_COMMA else text_words


def in_english_form(text: str) -> str:
    """The text of a language of ``DECIMAL_COMMA``, normalised, with its numbers in the English form."""
    joined = _GROUPS.sub(lambda number: re.sub(r"[. ]", "", number[0]), text)
    return _DECIMALS.sub(r"\1.\2", joined)
