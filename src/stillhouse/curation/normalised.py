"""Normalise a source's row: set the question's language and length, and keep what the rules look at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from stillhouse.curation.words import words
from stillhouse.errors import BadConfig
from stillhouse.vocabulary.ids import normalise, prompt_id, prompt_text
from stillhouse.vocabulary.languages import language_of
from stillhouse.vocabulary.rows import Message, Question


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


def compared_words(messages: Sequence[Message], prompt_words: list[str]) -> list[str]:
    """The words by which near duplicates are found: of a text of marks alone, which has none, its characters."""
    # The role of each message is one word of the prompt.
    return prompt_words if len(prompt_words) > len(messages) else [*prompt_words, *user_text(messages)]


def normaliser(tokenizer: str | None) -> Callable[[Question], NormalisedQuestion]:
    """A function that normalises a row; ``n_tokens`` is counted by the tokenizer of this name, or in words if it is None."""
    count = _counter(tokenizer)

    def normalised(row: Question) -> NormalisedQuestion:
        prompt = normalise(prompt_text(row.messages))
        prompt_words = words(prompt)
        question = replace(
            row, language=row.language or language_of(user_text(row.messages), prompt_words),
            # The role of each message is one word of the prompt.
            n_tokens=count(row.messages) if count else len(prompt_words) - len(row.messages),
        )  # fmt: skip
        return NormalisedQuestion(question, prompt_id(prompt, row.reference_answer), prompt, prompt_words)

    return normalised


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
