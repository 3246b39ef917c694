"""One extension of each kind. ``docs/extending.md`` shows them; the tests install this package and run each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Completion, Request
from stillhouse.sources.config import ExtensionSource
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
def brevity(question: Question, response: str) -> float:
    """1 for an empty response, falling to 0 at a thousand characters."""
    return max(0.0, 1 - len(response) / 1000)


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
