"""Normalise a source's row: set the question's language and length, and keep what the rules look at."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from stillhouse.curation.words import words
from stillhouse.errors import BadConfig
from stillhouse.vocabulary.ids import normalise, prompt_id, prompt_text
from stillhouse.vocabulary.rows import Message, Question

ENGLISH = frozenset((
    "and", "are", "at", "by", "can", "does", "each", "find", "following", "for", "from", "given", "has", "have", "how", "if", "is",
    "it", "its", "many", "of", "on", "that", "the", "their", "there", "they", "this", "to", "was", "what", "when", "where", "which",
    "who", "why", "will", "with", "write", "you",
))  # fmt: skip
"""Frequent words of English."""
ENGLISH_WORDS = 5
"""A text with this many different words of ``ENGLISH`` is English; asking the model would take ten times as long."""
LANGUAGE_CHARACTERS = 256
"""How much of a question is used to detect its language: more makes no difference but takes longer."""
LANGUAGE_CONFIDENCE = 0.2
"""Confidence below which the language stays unknown: "Solve for x." would be Norwegian. Ours; the papers give no value."""
_FORMULA = re.compile(r"\$[^$]*\$|\\[a-z]+|```.*?(?:```|$)|https?://\S+", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NormalisedQuestion:
    """A question with its language and length set; its id stays as its source gave it."""

    question: Question
    content_id: str
    """Hash of prompt and reference: what equal questions have in common, whatever their ids."""
    prompt: str
    """The normalised prompt: ``ids.normalise`` of all turns with their roles."""
    words: list[str]
    """The words of the prompt, roles included."""


def user_text(messages: Sequence[Message]) -> str:
    """What the user says in the conversation."""
    return "\n".join(message["content"] for message in messages if message["role"] == "user")


def normaliser(tokenizer: str | None) -> Callable[[Question], NormalisedQuestion]:
    """A function that normalises a row; ``n_tokens`` is counted by the tokenizer of this name, or in words if it is None."""
    count = _counter(tokenizer)

    def normalised(row: Question) -> NormalisedQuestion:
        prompt = normalise(prompt_text(row.messages))
        prompt_words = words(prompt)
        question = replace(
            row, language=row.language or language(row.messages, prompt_words),
            # The role of each message is one word of the prompt.
            n_tokens=count(row.messages) if count else len(prompt_words) - len(row.messages),
        )  # fmt: skip
        return NormalisedQuestion(question, prompt_id(prompt, row.reference_answer), prompt, prompt_words)

    return normalised


def language(messages: Sequence[Message], prompt_words: Sequence[str]) -> str | None:
    """The ISO 639-1 code of the user's language, by py3langid; None if it cannot be detected. ``prompt_words``: all words."""
    if len(ENGLISH.intersection(prompt_words)) >= ENGLISH_WORDS:
        return "en"
    code, confidence = _identifier().classify(_FORMULA.sub(" ", user_text(messages)[:LANGUAGE_CHARACTERS]))
    return str(code) if confidence >= LANGUAGE_CONFIDENCE and code != "zxx" else None


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _counter(tokenizer: str | None) -> Callable[[Sequence[Message]], int] | None:
    """A function that counts a conversation's tokens. Raises BadConfig if the tokenizer cannot be loaded."""
    if tokenizer is None:
        return None
    from transformers import AutoTokenizer  # only some images have it

    try:
        loaded = AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False)
    except (OSError, ValueError) as error:
        msg = f"tokenizer {tokenizer}: cannot be loaded ({error}); give a hub name or a directory with tokenizer files"
        raise BadConfig(msg) from error
    return lambda messages: sum(len(loaded.encode(turn["content"], add_special_tokens=False)) for turn in messages)
