"""A source's row -> a reading: the question with its own id, language and length, and what the rules look at."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from stillhouse.curation.words import words
from stillhouse.errors import BadConfig
from stillhouse.vocabulary.ids import normalise, prompt_id, prompt_text
from stillhouse.vocabulary.rows import Message, Question

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

ENGLISH = frozenset((
    "and", "are", "at", "by", "can", "does", "each", "find", "following", "for", "from", "given", "has", "have", "how", "if", "is",
    "it", "its", "many", "of", "on", "that", "the", "their", "there", "they", "this", "to", "was", "what", "when", "where", "which",
    "who", "why", "will", "with", "write", "you",
))  # fmt: skip
"""Frequent words of English."""
ENGLISH_WORDS = 5
"""So many different words of ``ENGLISH`` make a text English without a closer look, which takes ten times as long."""
LANGUAGE_CHARACTERS = 256
"""How much of a question its language is told from: more makes no difference but takes longer."""
LANGUAGE_CONFIDENCE = 0.2
"""Below it a language is not told: "Solve for x." would be Norwegian. Ours; the papers say nothing of it."""
_FORMULA = re.compile(r"\$[^$]*\$|\\[a-z]+|```.*?(?:```|$)|https?://\S+", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """One question as it was read. ``prompt`` is normalised; ``words`` are those of the prompt, its roles among them."""

    question: Question
    prompt: str
    words: list[str]


def asked(messages: Sequence[Message]) -> str:
    """What the user says in the conversation."""
    return "\n".join(message["content"] for message in messages if message["role"] == "user")


def reader(tokenizer: str | None) -> Callable[[Question], Reading]:
    """What makes a reading of a row: ``n_tokens`` is counted by the tokenizer of that name, or in words where it is None."""
    count = _counter(tokenizer)

    def read(row: Question) -> Reading:
        prompt = normalise(prompt_text(row.messages))
        found = words(prompt)
        made = replace(
            row, question_id=prompt_id(prompt, row.reference_answer), language=row.language or language(row.messages, found),
            # The role of each message is one word of the prompt.
            n_tokens=count(row.messages) if count else len(found) - len(row.messages),
        )  # fmt: skip
        return Reading(made, prompt, found)

    return read


def language(messages: Sequence[Message], found: Sequence[str]) -> str | None:
    """The ISO 639-1 code of the language that the user speaks, by py3langid; None where it cannot be told. ``found``: all words."""
    if len(ENGLISH.intersection(found)) >= ENGLISH_WORDS:
        return "en"
    code, confidence = _identifier().classify(_FORMULA.sub(" ", asked(messages)[:LANGUAGE_CHARACTERS]))
    return str(code) if confidence >= LANGUAGE_CONFIDENCE and code != "zxx" else None


@cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _counter(tokenizer: str | None) -> Callable[[Sequence[Message]], int] | None:
    """Counts a conversation's tokens. Raises BadConfig where there is no such tokenizer."""
    if tokenizer is None:
        return None
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False)
    except (OSError, ValueError) as error:
        msg = f"tokenizer {tokenizer}: cannot be loaded ({error}); give a hub name or a directory with tokenizer files"
        raise BadConfig(msg) from error
    return lambda messages: sum(len(loaded.encode(each["content"], add_special_tokens=False)) for each in messages)
