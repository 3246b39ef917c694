"""What decides the result of an import: the files by their digests, and how they are read."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from stillhouse.execution.contract import StageInputs
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.settings import StageConfig


class ReleaseImportConfig(StageConfig):
    """Which release was imported, and how it was read."""

    imported: tuple[str, ...]
    """sha256 of each file."""
    form: str
    """The schema."""
    category: Category | None = None
    """Category of all questions; null takes the release's, or, if the schema has none, infers it from references and tests."""
    license: str | None = None
    """Written to the questions' ``license`` column."""
    max_bad_rate: float = Field(0.01, ge=0, le=1)
    """Share of the lines that may not be rows of the schema; above it nothing is imported."""


@dataclass(frozen=True, kw_only=True)
class ReleaseImportInputs(StageInputs):
    """The artifacts of a release that its other artifacts are derived from."""

    questions: Path | None = None
    responses: Path | None = None


class RowsImportConfig(StageConfig):
    """Which file of rows was imported."""

    imported: str
    """sha256 of the file."""
