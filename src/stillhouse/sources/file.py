"""Questions from a file of your own: JSON Lines (.zst, .gz or plain) or Parquet, on this machine or on S3."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from stillhouse.artifacts.digests import sha256
from stillhouse.errors import BadConfig
from stillhouse.exchange import files
from stillhouse.exchange.files import Bad, bounded
from stillhouse.sources import columns
from stillhouse.sources.config import FileSource, PinnedSpec
from stillhouse.vocabulary.rows import Dropped, Question

T = TypeVar("T")


def questions(spec: FileSource) -> Iterator[Question | Dropped]:
    """The file's questions in its order. Raises BadConfig, MissingInput, TooManyErrors."""
    return stored(spec, lambda path: columns.questions(spec, files.objects(path, spec.max_line_bytes)))


def stored(spec: PinnedSpec, read: Callable[[Path], Iterator[tuple[int, T | Bad]]]) -> Iterator[T | Dropped]:
    """The rows that ``read`` yields of the file, once its digest is checked. Raises TooManyErrors above ``max_bad_rate``."""
    with files.local(spec.path) as path:
        if spec.sha256 is not None and (digest := sha256(path)) != spec.sha256:
            msg = f"source {spec.name}: {spec.path} has sha256 {digest}, not {spec.sha256} as pinned; restore it, or pin this one"
            raise BadConfig(msg)
        yield from bounded(read(path), spec.path, spec.max_bad_rate, spec.count)
