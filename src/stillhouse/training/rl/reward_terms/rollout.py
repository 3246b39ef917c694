"""A rollout as the terms of a reward see it, and what one term says of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

from stillhouse.verification.verdict import DETAIL_CHARS, Verdict
from stillhouse.vocabulary.rows import Question
from stillhouse.vocabulary.text import shortened

LARGEST = 1e9
"""Largest reward, either way, of one term with its weight. Groups are scaled by their deviation in 32 bits: squares must fit."""

FailureKind = Literal["timeout", "error", "refused", "unreachable", "bad_reply"]


@dataclass(frozen=True)
class Turn:
    """What one side said in a rollout of several turns."""

    speaker: Literal["model", "environment"]
    text: str


@dataclass(frozen=True)
class Rollout:
    """One sampled response to a question."""

    question: Question
    text: str
    """The response, thinking included, as its tokens read; with an environment, the model's last turn."""
    ids: Sequence[int]
    """The tokens that the model sampled, the end of its turn included; with an environment, those of all its turns."""
    verdict: Verdict | None = None
    """The verifier's; None where no rule scores the question."""
    turns: Sequence[Turn] = ()
    """With an environment: all that was said after the question."""
    environment: object = None
    """The environment of this rollout, as the rollout left it."""

    @property
    def transcript(self) -> str:
        """All that was said after the question."""
        return "\n".join(f"[{turn.speaker}] {turn.text}" for turn in self.turns) or self.text


@dataclass(frozen=True, slots=True)
class TermReward:
    """What a term says of one rollout.

    ``value`` is None if the term has nothing to say of it, or failed: then ``failure`` is how, and ``detail`` why.
    """

    value: float | None
    failure: FailureKind | None = None
    detail: str = ""

    @classmethod
    def failed(cls, failure: FailureKind, detail: str) -> Self:
        """A failure of the term, which says nothing about the rollout."""
        return cls(None, failure, shortened(detail, DETAIL_CHARS))

    @classmethod
    def of(cls, value: float | None) -> Self:
        """A reward, or None; a number that is not finite, or beyond ``LARGEST``, is a failure."""
        if value is None or abs(value) <= LARGEST:
            return cls(value)
        if isinstance(value, float) and not math.isfinite(value):
            return cls.failed("error", f"the reward is {value}, not a finite number")
        return cls.failed("error", f"the reward is beyond {LARGEST:,.0f} either way; scale it down")

    def weighed(self, weight: float) -> Self:
        """The same, or a failure if it exceeds ``LARGEST`` with its weight."""
        if self.value is None or abs(weight * self.value) <= LARGEST:
            return self
        return self.failed("error", f"the reward with its weight of {weight:g} is beyond {LARGEST:,.0f} either way; scale it down")


class RewardTerm(Protocol):
    """One term of the reward, ready to score."""

    def preflight(self) -> None:
        """Raise BadConfig or EngineFailed if it cannot score: called once, before the policy is loaded."""

    def score(self, rollouts: Sequence[Rollout]) -> list[TermReward]:
        """What each rollout is worth, in order. What fails is a value, never an exception."""
