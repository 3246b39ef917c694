"""Where questions come from: a spec of a kind -> questions, one file per kind."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any

from pydantic import Field

from stillhouse.rows import Dropped, Question
from stillhouse.sources import arithmetic, reasoning_gym, worded

Spec = Annotated[arithmetic.Arithmetic | reasoning_gym.ReasoningGym | worded.Worded, Field(discriminator="kind")]
"""A source in a config: a mapping whose ``kind`` says which."""

SOURCES: dict[str, Callable[[Any], Iterator[Question | Dropped]]] = {
    "arithmetic": arithmetic.questions,
    "reasoning_gym": reasoning_gym.questions,
    "worded": worded.questions,
}


def read(spec: Spec) -> Iterator[Question | Dropped]:
    """The source's questions in its own order, and what it had to drop, with the reason."""
    return SOURCES[spec.kind](spec)
