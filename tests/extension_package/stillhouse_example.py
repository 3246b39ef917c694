"""One extension of each kind. ``docs/extending.md`` shows them; the tests install this package and run each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Completion, Request
from stillhouse.sources.config import ExtensionSource
from stillhouse.training.rl.reward_terms.rollout import Rollout
from stillhouse.verification.verdict import Verdict, VerificationRequest
from stillhouse.verification.verifier import Verifier
from stillhouse.vocabulary.ids import question_id
from stillhouse.vocabulary.rows import Message, Question

if TYPE_CHECKING:  # a loss runs where torch is; the other extensions may not
    from torch import Tensor

    from stillhouse.training.rl.losses.config import LossSettings
    from stillhouse.training.rl.losses.terms import RolloutTokens


# verifier
class SameWords(Verifier):
    """Correct if the answer has the reference's words, in any order."""

    method = "same_words"

    def verify(self, request: VerificationRequest) -> Verdict:
        """Score one answer."""
        same = sorted((request.answer or "").lower().split()) == sorted((request.reference or "").lower().split())
        return Verdict("correct" if same else "wrong", float(same), self.method)


# source
def squares(spec: ExtensionSource) -> Iterator[Question]:
    """What is n * n? From n = 1 up to ``settings["largest"]``."""
    for n in range(1, spec.settings.get("largest", 100) + 1):
        messages: list[Message] = [{"role": "user", "content": f"What is {n} * {n}?"}]
        reference = str(n * n)
        yield Question(
            question_id(messages, reference), "math", messages, reference, source=spec.name, license=spec.license, language="en"
        )


# benchmark
def tiny_squares() -> Iterator[Question]:
    """The squares of 3 to 5; a new version of the package is a new benchmark."""
    spec = ExtensionSource.model_construct(name="tiny-squares", license="CC0-1.0", settings={"largest": 5})
    return (question for number, question in enumerate(squares(spec), start=1) if number >= 3)


# reward
def brevity(rollout: Rollout) -> float | None:
    """1 for a right response of no length, falling to 0 at a thousand tokens; None if the verifier failed."""
    if rollout.verdict is None or rollout.verdict.verify_score is None:
        return None
    return rollout.verdict.verify_score * max(0.0, 1 - len(rollout.ids) / 1000)


# environment
class HigherOrLower:
    """The model guesses the reference answer, a whole number; ``won`` says whether it did."""

    instructions = "Answer with a whole number in <answer> tags. You are told whether the number is higher or lower."

    def __init__(self, question: Question) -> None:
        self.number, self.won = int(question.reference_answer or 0), False

    def reply(self, turn: str) -> str | None:
        """What is said to a guess; None ends the rollout."""
        guess = re.search(r"<answer>\s*(-?\d+)\s*</answer>", turn)
        if guess is None:
            return "That is no whole number in <answer> tags."
        self.won = int(guess[1]) == self.number
        return None if self.won else "higher" if int(guess[1]) < self.number else "lower"


# tool
def leap_year(year: int) -> bool:
    """Say whether a year has 366 days.

    Args:
        year: The year, such as 2024.
    """
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


# loss
def imitation(tokens: RolloutTokens, settings: LossSettings) -> Tensor:
    """Learn only from rollouts that were better than their group."""
    return -tokens.advantages.clamp(min=0) * tokens.logprobs


# engine
class Parrot:
    """A model that repeats the question."""

    def __init__(self, model: str, sampling: Sampling) -> None:
        self.model, self.sampling = model, sampling

    def sample(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Completion]]:
        """Answer every request."""
        for request in requests:
            text = f"<think>Hm.</think><answer>{request.messages[-1]['content']}</answer>"
            yield request, Completion(text, "stop", prompt_tokens=1, completion_tokens=1)
