"""The specs of sources of stored questions: files, data sets on the hub, releases, and presets of public data sets."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from stillhouse.errors import nearest
from stillhouse.exchange.config import BRANCHES, HUB_PATH, Format, Mapping
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.settings import OMIT_DEFAULT, StageConfig

MAX_LINE_BYTES = 16 * 2**20
"""Longest line read by default: longer than any code question with its tests, shorter than a file without line breaks."""
SPLIT = re.compile(r"(?P<split>[\w.-]+)(?:\[(?P<start>\d*):(?P<stop>\d*)\])?")


def _not_empty(rows: str) -> str:
    start, _, stop = rows.strip("[]").partition(":")
    if stop and int(stop) <= int(start or 0):
        msg = f"{rows}: holds no row; the second number is the first row that is left out"
        raise ValueError(msg)
    return rows


RowSlice = Annotated[str, Field(pattern=r"^\[\d*:\d*\]$"), AfterValidator(_not_empty)]
"""``[START:STOP]``: rows counted from 0, without the one at STOP."""


class SourceSpec(StageConfig):
    """A source of questions. A subclass adds ``kind``, ``count``, and whatever decides its questions."""

    name: str
    """Written to the rows' ``source`` column."""
    weight: float = Field(1, gt=0)
    """How often this source is drawn while sources are interleaved, relative to the other sources' weights."""
    license: str
    """Written to the rows' ``license`` column."""


class StoredSpec(SourceSpec):
    """A source that reads stored questions: rows that cannot be read are dropped with their position and reason."""

    count: int | None = Field(None, gt=0)
    """Take only the first ``count`` questions; null takes all."""
    max_bad_rate: float = Field(0.01, ge=0, le=1)
    """Share of the rows that may be broken; above it the stage fails. The papers give no value."""


class PinnedSpec(StoredSpec):
    """A source that is one file, pinned by its content: a path alone does not say whether the content changed."""

    path: str
    """A file, a folder or a pattern (``data/*.parquet``): a path, a ``file://``, ``s3://`` or ``hf://datasets/ORG/NAME@REVISION/FILE``
    URI, or ``-`` for standard input. JSON Lines, JSON, CSV (plain, .gz or .zst), Parquet, Arrow, or tar files of samples."""
    format: Format | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """The format of the files; null goes by their suffix."""
    slice: RowSlice | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """The rows of each file to read, ``[:1000]`` or ``[1000:2000]``; null reads all."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """The file's digest, or that of several files (an error shows it); another content is refused."""
    revision: str | None = None
    """Instead of a digest, a version that you raise whenever you change the file: nothing else tells old from new questions."""
    max_line_bytes: int = Field(MAX_LINE_BYTES, ge=1)
    """Longest line of a JSON Lines file; a longer one is dropped without being held in memory."""

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        hub = HUB_PATH.fullmatch(self.path)
        if hub and hub["revision"] and hub["revision"] not in BRANCHES and not (self.sha256 or self.revision):
            return self  # the commit in the URI pins it
        if (self.sha256 is None) == (self.revision is None):
            msg = "pin the file by exactly one of sha256 and revision"
            raise ValueError(msg)
        return self


class MappedSpec(StoredSpec, Mapping):
    """A source whose rows have columns of their own."""


class FileSource(PinnedSpec, MappedSpec):
    """Files of your own, their columns mapped."""

    kind: Literal["file"] = "file"


class Release(PinnedSpec):
    """Files of a public release. Its own ``source`` column is replaced by the name given here; ``stillhouse import`` keeps it."""

    kind: Literal["am-1.4m", "am-40m", "conversations"]
    category: Category | None = None
    """Category of all questions; null takes the release's, or, if the schema has none, infers it from references and tests."""
    categories: dict[str, Category] = Field(default_factory=dict, json_schema_extra=OMIT_DEFAULT)
    """Source in the release -> category of its questions, before all else."""


class HuggingFace(MappedSpec):
    """A split of a data set on the Hugging Face hub, or of a folder in the same form."""

    kind: Literal["huggingface"] = "huggingface"
    dataset: str
    """The data set's name on the hub, or a folder."""
    revision: str = Field(min_length=1)
    """The commit or tag to read. For a folder, a version that you raise whenever you change it."""
    subset: str | None = None
    """The data set's configuration, if it has several."""
    split: str = "train"
    """The split to read, or a slice of it: ``train[:1000]``, ``train[1000:2000]``."""

    @field_validator("revision")
    @classmethod
    def _fixed(cls, revision: str) -> str:
        return _no_branch(revision)

    @field_validator("split")
    @classmethod
    def _known_form(cls, split: str) -> str:
        if not SPLIT.fullmatch(split):
            msg = f"{split}: not a split or a slice of one; write train, train[:1000] or train[1000:2000]"
            raise ValueError(msg)
        if "[" in split:
            _not_empty(split[split.index("[") :])
        return split

    def split_and_slice(self) -> tuple[str, int, int | None]:
        """The split's name, its first row, counted from 0, and the one after its last; None if it is read to its end."""
        match = SPLIT.fullmatch(self.split)
        assert match is not None  # the validator saw to it
        return match["split"], int(match["start"] or 0), int(match["stop"]) if match["stop"] else None


class Preset(StoredSpec):
    """A public data set whose mapping is built in. ``name`` is the preset's: ``stillhouse presets`` lists them."""

    kind: Literal["preset"] = "preset"
    license: str | None = None  # type: ignore[assignment]  # the preset states it
    """Written to the rows' ``license`` column; null takes the preset's."""
    path: str | None = None
    """Files of your own in the data set's columns, as ``path`` of ``kind: file``; null reads the hub."""
    revision: str | None = None
    """The commit or tag of the data set on the hub or, with ``path``, a version that you raise whenever you change the file."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """The digest of the file at ``path``, instead of ``revision``."""
    split: str | None = None
    """The split to read from the hub; null takes the preset's."""
    where: str | None = None
    """Rows to take, as in ``kind: file``; null takes the preset's."""
    slice: RowSlice | None = None
    """The rows of each file to read, as in ``kind: file``."""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        from stillhouse.exchange.presets import presets  # reads a file: trigger forms do without it

        if name not in presets():
            msg = f"no preset {name!r}; {nearest(name, presets(), 'presets')}"
            raise ValueError(msg)
        return name

    @model_validator(mode="after")
    def _whole(self) -> Self:
        self.resolved()
        return self

    def resolved(self) -> "FileSource | HuggingFace | Release":
        """The source that the preset stands for. Raises ValueError for settings that do not go together."""
        from stillhouse.exchange.presets import presets

        facts = presets()[self.name]
        values: dict[str, Any] = facts.mapping | {
            "name": self.name, "license": self.license or facts.license, "weight": self.weight, "count": self.count,
            "max_bad_rate": self.max_bad_rate, "revision": self.revision,
        }  # fmt: skip
        values |= {"where": self.where} if self.where else {}
        if self.path is not None:
            values |= {"kind": "file", "path": self.path, "sha256": self.sha256, "slice": self.slice}
            return Release(**values | {"kind": facts.form}) if facts.form else FileSource(**values)
        if self.sha256 or facts.form or self.revision is None:
            wanted = "path, and revision or sha256" if facts.form else "path, or revision, a commit on the hub"
            msg = f"preset {self.name}: give {wanted}"
            raise ValueError(msg)
        split = f"{self.split or facts.split}{self.slice or ''}"
        return HuggingFace(**values | {"kind": "huggingface", "dataset": facts.hub, "subset": facts.subset, "split": split})


def _no_branch(revision: str) -> str:
    if revision in BRANCHES:
        msg = f"{revision} is a branch, and branches move; name a commit or a tag"
        raise ValueError(msg)
    return revision
