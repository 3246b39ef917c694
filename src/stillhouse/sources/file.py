"""Questions from a file of one's own: JSON lines (.zst, .gz or plain) or Parquet, on this machine or on S3."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import Field, model_validator

from stillhouse.artifacts.digests import sha256
from stillhouse.errors import BadConfig
from stillhouse.exchange import files
from stillhouse.exchange.files import Bad, bounded
from stillhouse.sources import columns
from stillhouse.sources.columns import MappedSpec
from stillhouse.sources.spec import StoredSpec
from stillhouse.vocabulary.rows import Dropped, Question

T = TypeVar("T")


class PinnedSpec(StoredSpec):
    """A source that is one file, and what says that its content is still the same: a path alone says nothing."""

    path: str
    """A path, ``file://`` or ``s3://`` URI that ends in .jsonl, .jsonl.zst, .jsonl.gz or .parquet."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """The file's digest; another content is refused."""
    revision: str | None = None
    """In place of a digest, a name that whoever changes the file raises: nothing else tells old questions from new ones."""
    max_line_bytes: int = Field(files.MAX_LINE_BYTES, ge=1)
    """Longest line of a file of JSON lines; a longer one is dropped without being held."""

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        if (self.sha256 is None) == (self.revision is None):
            msg = "the file is pinned by one of sha256 and revision"
            raise ValueError(msg)
        return self


class File(PinnedSpec, MappedSpec):
    """A file whose columns are mapped."""

    kind: Literal["file"] = "file"


def questions(spec: File) -> Iterator[Question | Dropped]:
    """The file's questions in its order. Raises BadConfig, MissingInput, TooManyErrors."""
    return stored(spec, lambda path: columns.questions(spec, files.objects(path, spec.max_line_bytes)))


def stored(spec: PinnedSpec, read: Callable[[Path], Iterator[tuple[int, T | Bad]]]) -> Iterator[T | Dropped]:
    """What ``read`` makes of the file, once its digest is checked; raises TooManyErrors above the source's ceiling."""
    with files.local(spec.path) as path:
        if spec.sha256 is not None and (found := sha256(path)) != spec.sha256:
            msg = (
                f"source {spec.name}: {spec.path} has sha256 {found}, {spec.sha256} is pinned; restore the file, or pin the new one"
            )
            raise BadConfig(msg)
        yield from bounded(read(path), spec.path, spec.max_bad_rate, spec.count)
