"""A model on a benchmark: rounds of answers, chain by chain, each verified.

Round 1 is the question. Every later round is a fresh prompt that shows the last answer and not the thinking behind it (Think
Twice §2); sample k of round n goes on from sample k of round n - 1. Where a round gave no answer, the next one asks the plain
question again: the paper does not say.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stillhouse.rows import Question, Response, ResponseKey, Verified
from stillhouse.sampling.engine import Engine, Request, Sampling, response, row_seed
from stillhouse.sampling.prompts import conversation, previous_answer_prompt

Verify = Callable[[Mapping[str, Question], Sequence[Response]], list[Verified]]
"""Questions by id, and responses -> the verdict on each response, in order."""


@dataclass
class Evaluation:
    """All rounds of one model on one benchmark, in the order they were asked."""

    questions: Sequence[Question]
    responses: list[Response] = field(default_factory=list)
    verified: list[Verified] = field(default_factory=list)

    def outcomes(self, number: int) -> dict[str, list[bool]]:
        """Round -> question id -> passed, by sample. Samples the verifier failed on are left out, never counted as wrong."""
        found: dict[str, list[bool]] = {question.question_id: [] for question in self.questions}
        for row in self.verified:
            if row.round == number and row.passed is not None:
                found[row.question_id].append(row.passed)
        return {question: passed for question, passed in found.items() if passed}

    def tokens(self, number: int) -> float:
        """Mean completion tokens of a response in the round."""
        lengths = [row.completion_tokens for row in self.responses if row.round == number]
        return sum(lengths) / len(lengths)

    def stop_ratio(self, number: int) -> float:
        """Share of the round's responses that ended by themselves (DeepDistill, Fig. 5)."""
        ended = [row.finish_reason == "stop" for row in self.responses if row.round == number]
        return sum(ended) / len(ended)


def evaluate(
    engine: Engine, verify: Verify, sampling: Sampling, model: str, questions: Sequence[Question], samples: int, rounds: int,
    progress: Callable[[int, int], None],
) -> Evaluation:  # fmt: skip
    """Ask every question ``samples`` times in each of ``rounds`` rounds, and verify the answers."""
    result = Evaluation(questions)
    by_id = {question.question_id: question for question in questions}
    answers: dict[tuple[str, int], str | None] = {}
    total = len(questions) * samples * rounds
    for number in range(1, rounds + 1):
        requests = list(_requests(sampling, model, questions, samples, number, answers))
        made = []
        for request, completion in engine.sample(requests):
            made.append(response(sampling, request, completion))
            progress(len(result.responses) + len(made), total)
        made.sort(key=lambda row: (row.question_id, row.sample_index))
        result.responses += made
        result.verified += verify(by_id, made)
        answers = {(row.question_id, row.sample_index): row.answer for row in made}
    return result


def _requests(
    sampling: Sampling, model: str, questions: Sequence[Question], samples: int, number: int,
    answers: dict[tuple[str, int], str | None],
) -> Iterator[Request]:  # fmt: skip
    for question in questions:
        for index in range(samples):
            *head, last = conversation(question.messages, sampling.system_prompt, sampling.suffix)
            answer = answers.get((question.question_id, index))
            if answer is not None:
                last = {"role": last["role"], "content": previous_answer_prompt(last["content"], answer)}
            kind = "question" if answer is None else "previous_answer"
            key: ResponseKey = (question.question_id, model, kind, number, index)
            # The model's name stays out of the seed: two checkpoints are compared on equal random numbers.
            yield Request(key, [*head, last], row_seed(sampling.seed, (question.question_id, number, index)))
