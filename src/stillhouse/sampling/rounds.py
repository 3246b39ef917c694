"""Rounds of thinking: every further one is a fresh prompt that shows the last answer, chain by chain (Think Twice §2).

The thinking behind the answer is not shown; sample k of round n goes on from sample k of round n - 1. Where a round gave no
answer, the next one asks the plain question again: the paper does not say.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from stillhouse.sampling.engine import Request, Sampling
from stillhouse.vocabulary.prompts import previous_answer_prompt
from stillhouse.vocabulary.rows import Message, PromptKind, Question, ResponseKey

SeedOf = Callable[[ResponseKey, Sequence[Message]], int]


def ask(
    sampling: Sampling, model: str, question: Question, number: int, index: int, answer: str | None, seed_of: SeedOf
) -> Request:  # fmt: skip
    """The request of one round of one chain; ``answer`` is that of the round before, None in the first or where it gave none."""
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
    """One round of every chain: ``samples`` to a question. ``answers``: the round before, by question and sample."""
    for question in questions:
        for index in range(samples):
            yield ask(sampling, model, question, number, index, answers.get((question.question_id, index)), seed_of)
