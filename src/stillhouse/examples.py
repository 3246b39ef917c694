"""Chosen questions and responses -> training examples, as rows of ``selected``."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from stillhouse.identity import content_id
from stillhouse.rows import Graded, Message, Question, Response, Selected
from stillhouse.selection import Choice

Mode = Literal["full", "answer"]


def from_responses(
    split: str, mode: Mode, questions: Iterable[Question], choices: Mapping[str, Choice],
    responses: Sequence[Response],
) -> Iterator[Selected]:  # fmt: skip
    """One example for every chosen response, in the order of the questions.

    Mode ``full`` trains on the whole response, ``answer`` on its answer alone (Leveraging Reasoning Model Answers §2.2); a response
    without an answer then makes no example.
    """
    for question in questions:
        choice = choices.get(question.question_id)
        if choice is None:
            continue
        for scored in choice.chosen:
            response = responses[scored.place]
            text = response.text if mode == "full" else response.answer
            if not text:
                continue
            key = (response.model, response.prompt_kind, str(response.round), str(response.sample_index))
            yield Selected(
                content_id(split, mode, question.question_id, *key), question.question_id, split, mode, _answered(question, text),
                question.category, response.model, scored.score, choice.cv, choice.pass_rate,
                response.prompt_tokens + response.completion_tokens if mode == "full" else None,
            )  # fmt: skip


def from_levels(
    split: str, levels: Sequence[int], questions: Iterable[Question], grades: Mapping[str, Graded]
) -> Iterator[Selected]:
    """One example for every question of the levels: its messages alone, for RL to answer (Staged RL §3.3)."""
    for question in questions:
        grade = grades.get(question.question_id)
        if grade is not None and grade.level in levels:
            identity = content_id(split, "full", question.question_id)
            yield Selected(identity, question.question_id, split, "full", question.messages, question.category)


def from_originals(split: str, source: str, questions: Iterable[Question]) -> Iterator[Selected]:
    """One example for every question of the source that came with a response (Leveraging Reasoning Model Answers §2.2)."""
    for question in questions:
        if question.source == source and question.original_response:
            identity = content_id(split, "original", question.question_id)
            messages = _answered(question, question.original_response)
            yield Selected(identity, question.question_id, split, "original", messages, question.category)


def _answered(question: Question, text: str) -> list[Message]:
    return [*question.messages, {"role": "assistant", "content": text}]
