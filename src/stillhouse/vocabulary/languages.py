"""The language of a text, by py3langid; English is told by its frequent words, ten times as fast."""

import re
from collections.abc import Collection
from functools import cache
from typing import Any

ENGLISH = frozenset((
    "and", "are", "at", "by", "can", "does", "each", "find", "following", "for", "from", "given", "has", "have", "how", "if", "is",
    "it", "its", "many", "of", "on", "that", "the", "their", "there", "they", "this", "to", "was", "what", "when", "where", "which",
    "who", "why", "will", "with", "write", "you",
))  # fmt: skip
"""Frequent words of English."""
ENGLISH_WORDS = 5
"""A text with this many different words of ``ENGLISH`` is English."""
CHARACTERS = 256
"""How much of a text is used to detect its language: more makes no difference but takes longer."""
CONFIDENCE = 0.2
"""Confidence below which the language stays unknown: "Solve for x." would be Norwegian. Ours; the papers give no value."""
_FORMULA = re.compile(r"\$[^$]*\$|\\[a-z]+|```.*?(?:```|$)|https?://\S+", re.DOTALL | re.IGNORECASE)


def language_of(text: str, text_words: Collection[str]) -> str | None:
    """The ISO 639-1 code of the text's language; None if it cannot be detected. ``text_words``: all its words, in lower case."""
    if len(ENGLISH.intersection(text_words)) >= ENGLISH_WORDS:
        return "en"
    code, confidence = _identifier().classify(_FORMULA.sub(" ", text[:CHARACTERS]))
    return str(code) if confidence >= CONFIDENCE and code != "zxx" else None


@cache
def _identifier() -> Any:
    # Loads numpy and a model: only where a language is asked for.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
