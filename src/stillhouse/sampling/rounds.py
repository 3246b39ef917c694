"""Rounds of thinking: each further round is a fresh prompt that shows the last answer of its chain (Think Twice §2).

The prompt does not show the thinking behind that answer. Sample k of round n continues sample k of round n - 1. If a round gave
no answer, the next one asks the plain question again; the paper does not cover that case.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Request
from stillhouse.vocabulary.prompts import previous_answer_prompt
from stillhouse.vocabulary.rows import Message, PromptKind, Question, ResponseKey

SeedOf = Callable[[ResponseKey, Sequence[Message]], int]


def ask(
    sampling: Sampling, model: str, question: Question, number: int, index: int, answer: str | None, seed_of: SeedOf
) -> Request:  # fmt: skip
    """The request for one round of one chain; ``answer`` is the previous round's, None if this is the first or it gave none."""
    *head, last = sampling.prompt(question)
    if answer is not None:
        last = {"role": last["role"], "content": previous_answer_prompt(last["content"], answer)}
    kind: PromptKind = "question" if answer is None else "previous_answer"
    key: ResponseKey = (question.question_id, model, kind, number, index)
    messages = [*head, last]
    return Request(key, messages, seed_of(key, messages))


def ask_all(
    sampling: Sampling, model: str, questions: Iterable[Question], samples: int, number: int,
    answers: Mapping[tuple[str, int], str | None], seed_of: SeedOf,
) -> Iterator[Request]:  # fmt: skip
    """One round of every chain, ``samples`` chains per question. ``answers``: the previous round's, by question and sample."""
    for question in questions:
        for index in range(samples):
            yield ask(sampling, model, question, number, index, answers.get((question.question_id, index)), seed_of)
