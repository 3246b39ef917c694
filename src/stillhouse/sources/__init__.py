"""Where questions come from: the spec of a source -> its questions; one module per kind of source."""

from collections.abc import Iterator
from typing import Any, Protocol, cast

from stillhouse.errors import BadRows
from stillhouse.execution import extensions
from stillhouse.sources.config import READERS, ExtensionSource, Spec
from stillhouse.vocabulary.rows import Dropped, Question


class SourceReader(Protocol):
    """Reads one source: a function of its spec, or any other callable. An extension gets an ``ExtensionSource``."""

    def __call__(self, spec: Any, /) -> Iterator[Question | Dropped]:
        """Yield the source's questions in its own order, and a ``Dropped`` for each row that is not a question."""
        ...


def read(spec: Spec) -> Iterator[Question | Dropped]:
    """The questions of a source in its own order, and the rows it dropped; reasons of unreadable rows begin with ``bad_``.

    A source of stored questions raises TooManyErrors at its end if the share of bad rows is above its ``max_bad_rate``. Raises
    BadConfig if an extension cannot be loaded.
    """
    reader = cast("SourceReader", extensions.load("sources", spec.kind, READERS))
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
