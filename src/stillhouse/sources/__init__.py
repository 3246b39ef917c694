"""Where questions come from: the spec of a source -> its questions; one module per kind of source."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

from stillhouse.errors import BadRows
from stillhouse.execution import extensions
from stillhouse.sources.config import READERS, ExtensionSource, Spec
from stillhouse.sources.stored import StoredSpec
from stillhouse.vocabulary.rows import Dropped, Question


class SourceReader(Protocol):
    """Reads one source: a function of its spec, or any other callable. An extension gets an ``ExtensionSource``."""

    def __call__(self, spec: Any, /) -> Iterator[Question | Dropped]:
        """Yield the source's questions in its own order, and a ``Dropped`` for each row that is not a question."""
        ...


StoredReader = Callable[[Any, Counter[str]], Iterator[Question | Dropped]]
"""Reads a source of stored questions, and counts the columns that nothing maps."""


def read(spec: Spec, unmapped: Counter[str] | None = None) -> Iterator[Question | Dropped]:
    """The questions of a source in its own order, and the rows it dropped; reasons of unreadable rows begin with ``bad_``.

    ``unmapped`` counts, for a source of stored questions, the rows with a value in each column that its mapping leaves out.

    A source of stored questions raises TooManyErrors at its end if the share of bad rows is above its ``max_bad_rate``. Raises
    BadConfig if an extension cannot be loaded.
    """
    loaded = extensions.load("sources", spec.kind, READERS)
    if isinstance(spec, StoredSpec):
        return cast("StoredReader", loaded)(spec, Counter() if unmapped is None else unmapped)
    reader = cast("SourceReader", loaded)
    return _checked(spec, reader(spec)) if isinstance(spec, ExtensionSource) else reader(spec)


def _checked(spec: ExtensionSource, rows: Iterator[object]) -> Iterator[Question | Dropped]:
    """At most ``count`` questions. Raises BadRows for anything but a Question or a Dropped."""
    n_questions = 0
    for row in rows:
        if n_questions == spec.count:
            return
        if not isinstance(row, Question | Dropped):
            msg = f"source {spec.name}: {spec.kind} yielded {type(row).__name__}; yield Question or Dropped rows"
            raise BadRows(msg)
        n_questions += isinstance(row, Question)
        yield row
