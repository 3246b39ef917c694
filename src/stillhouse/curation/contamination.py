"""Questions that a benchmark asks too: exact matches of the normalised text (DeepDistill §2.2 names AIME 2024 alone)."""

import re
from collections.abc import Iterator, Mapping, Sequence

from stillhouse.identity import normalise
from stillhouse.rows import Message, Question
from stillhouse.sampling.prompts import previous_answer_prompt

_MARKS = ".,;:!?\"'`“”‘’«»…()[]{}"

# The re-answer prompt, whatever its sentence is, with the question and the answer as groups.
_REANSWER = re.compile(
    re.escape(previous_answer_prompt("QUESTION", "ANSWER")).replace("QUESTION", "(?P<question>.+)").replace("ANSWER", ".*?"),
    flags=re.DOTALL,
)


def comparable(text: str) -> str:
    """The text for comparison: normalised, without the punctuation around words.

    Punctuation inside words and operators between them stay: "8 - 3" is not "8 * 3", and 3.5 is not 35.
    """
    words = (word.strip(_MARKS) for word in normalise(text).split())
    return " ".join(word for word in words if word)


def underlying(text: str) -> str:
    """The question below a re-answer prompt of any number of rounds; the text itself where it is none."""
    while found := _REANSWER.fullmatch(text.strip()):
        text = found["question"]
    return text


def index(benchmarks: Mapping[str, Sequence[Question]]) -> dict[str, str]:
    """Comparable text -> the benchmark that asks it."""
    return {text: name for name, asked in benchmarks.items() for question in asked for text in _texts(question.messages)}


def contaminant(question: Question, indexed: Mapping[str, str]) -> str | None:
    """The benchmark that asks the question, or one turn of it, or what a re-answer prompt of it is about; None if none does."""
    return next((indexed[text] for text in _texts(question.messages) if text in indexed), None)


def _texts(messages: Sequence[Message]) -> Iterator[str]:
    """All texts of a conversation that may be a question; empty ones, which would match each other, left out."""
    asked = [underlying(message["content"]) for message in messages if message["role"] == "user"]
    return (text for text in map(comparable, [*asked, "\n".join(asked)]) if text)
