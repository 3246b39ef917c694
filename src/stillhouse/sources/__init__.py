"""Where questions come from: a spec of a kind -> questions, one file per kind."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any

from pydantic import Field

from stillhouse.sources import arithmetic, file, huggingface, human_eval, reasoning_gym, release, worded
from stillhouse.vocabulary.rows import Dropped, Question

Spec = Annotated[
    arithmetic.Arithmetic
    | reasoning_gym.ReasoningGym
    | worded.Worded
    | file.File
    | release.Release
    | huggingface.HuggingFace
    | human_eval.HumanEval,
    Field(discriminator="kind"),
]
"""A source in a config: a mapping whose ``kind`` says which."""

SOURCES: dict[str, Callable[[Any], Iterator[Question | Dropped]]] = {
    "arithmetic": arithmetic.questions,
    "reasoning_gym": reasoning_gym.questions,
    "worded": worded.questions,
    "file": file.questions,
    "am-1.4m": release.questions,
    "am-40m": release.questions,
    "conversations": release.questions,
    "huggingface": huggingface.questions,
    "human_eval": human_eval.questions,
}


def read(spec: Spec) -> Iterator[Question | Dropped]:
    """The source's questions in its own order, and what it had to drop, with the reason: ``bad_…`` for a row that is none.

    A source that is stored somewhere raises TooManyErrors at its end where more of its rows are bad than its ``max_bad_rate``.
    """
    return SOURCES[spec.kind](spec)
