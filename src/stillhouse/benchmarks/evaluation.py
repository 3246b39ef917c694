"""A model on a benchmark: rounds of responses, chain by chain, each verified.

A chain is one sample of one question through all rounds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from stillhouse.benchmarks import multiple_choice
from stillhouse.benchmarks.definitions import definition
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Engine, response
from stillhouse.sampling.rounds import ask_all
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.scoring import verdicts
from stillhouse.vocabulary.rows import Message, Question, Response, ResponseKey, Verified
from stillhouse.vocabulary.seeds import row_seed

Verify = Callable[[Mapping[str, Question], Sequence[Response]], list[Verified]]
"""Questions by id, and responses -> the verdict on each response, in order."""


def verify_by(benchmark: str | None, pool: VerifierPool) -> Verify:
    """Judge a benchmark's multiple choice by the letter an answer names; all else, and other questions, as ``verified`` does."""
    if benchmark is not None and definition(benchmark).multiple_choice:
        return multiple_choice.verdicts
    return partial(verdicts, pool)


@dataclass
class Evaluation:
    """All rounds of one model on one benchmark, in the order in which they were sampled."""

    questions: Sequence[Question]
    responses: list[Response] = field(default_factory=list)
    verified: list[Verified] = field(default_factory=list)

    def outcomes(self, number: int) -> dict[str, list[bool]]:
        """Question id -> whether each sample passed in the round. Samples that the verifier failed on are left out, not wrong."""
        passed: dict[str, list[bool]] = {question.question_id: [] for question in self.questions}
        for row in self.verified:
            if row.round == number and row.passed is not None:
                passed[row.question_id].append(row.passed)
        return {question: samples for question, samples in passed.items() if samples}

    def tokens(self, number: int) -> float:
        """Mean completion tokens of a response in the round."""
        lengths = [row.completion_tokens for row in self.responses if row.round == number]
        return sum(lengths) / len(lengths)

    def stop_ratio(self, number: int) -> float:
        """Share of the round's responses that ended before the token limit (DeepDistill, Fig. 5)."""
        stopped = [row.finish_reason == "stop" for row in self.responses if row.round == number]
        return sum(stopped) / len(stopped)


def evaluate(
    engine: Engine, verify: Verify, sampling: Sampling, model: str, questions: Sequence[Question], samples: int, rounds: int,
    progress: Callable[[int, int], None],
) -> Evaluation:  # fmt: skip
    """Sample ``samples`` responses to every question in each of ``rounds`` rounds, and verify them."""
    evaluation = Evaluation(questions)
    by_id = {question.question_id: question for question in questions}
    answers: dict[tuple[str, int], str | None] = {}
    total = len(questions) * samples * rounds

    def seed_of(key: ResponseKey, messages: Sequence[Message]) -> int:
        # Leave the model's name out of the seed: two checkpoints are compared on equal random numbers.
        return row_seed(sampling.seed, (key[0], *key[3:]))

    for number in range(1, rounds + 1):
        responses = []
        requests = list(ask_all(sampling, model, questions, samples, number, answers, seed_of))
        for request, completion in engine.sample(requests):
            responses.append(response(sampling, request, completion))
            progress(len(evaluation.responses) + len(responses), total)
        responses.sort(key=lambda row: (row.question_id, row.sample_index))
        evaluation.responses += responses
        evaluation.verified += verify(by_id, responses)
        answers = {(row.question_id, row.sample_index): row.answer for row in responses}
    return evaluation
