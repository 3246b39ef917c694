"""Where questions come from: the spec of a source -> its questions; one module per kind of source."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Protocol

from stillhouse.sources.config import Spec
from stillhouse.vocabulary.rows import Dropped, Question

READERS = {
    "arithmetic": "stillhouse.sources.arithmetic",
    "reasoning_gym": "stillhouse.sources.reasoning_gym",
    "worded": "stillhouse.sources.worded",
    "file": "stillhouse.sources.file",
    "am-1.4m": "stillhouse.sources.release",
    "am-40m": "stillhouse.sources.release",
    "conversations": "stillhouse.sources.release",
    "huggingface": "stillhouse.sources.huggingface",
    "human_eval": "stillhouse.sources.human_eval",
}
"""Kind of source -> the module whose ``questions`` reads it. Imported on first use: each needs a library of its own."""


class SourceReader(Protocol):
    """Reads one source."""

    def __call__(self, spec: Any, /) -> Iterator[Question | Dropped]:
        """Yield the source's questions in its own order, and a ``Dropped`` for each row that is not a question."""
        ...


def read(spec: Spec) -> Iterator[Question | Dropped]:
    """The questions of a source in its own order, and the rows it dropped; reasons of unreadable rows begin with ``bad_``.

    A source of stored questions raises TooManyErrors at its end if the share of bad rows is above its ``max_bad_rate``.
    """
    reader: SourceReader = import_module(READERS[spec.kind]).questions
    return reader(spec)
