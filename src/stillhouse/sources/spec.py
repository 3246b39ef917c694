"""What the spec of every source has."""

from pydantic import Field

from stillhouse.vocabulary.settings import StageConfig


class SourceSpec(StageConfig):
    """A source of questions. A subclass adds ``kind``, ``count``, and whatever its questions depend on."""

    name: str
    """What the rows' ``source`` column says."""
    weight: float = Field(1, gt=0)
    """How often its turn comes while sources are interleaved, relative to the other sources' weights."""
    license: str
    """What the rows' ``license`` column says."""


class GeneratedSpec(SourceSpec):
    """A source that makes its questions."""

    count: int = Field(gt=0)
    """How many questions to take from it."""
    seed: int = 0
    """Decides which questions; equal seeds give equal questions."""
    license: str = "CC0-1.0 (generated)"
    """What the rows' ``license`` column says."""


class StoredSpec(SourceSpec):
    """A source whose questions lie somewhere: rows that are none are dropped with their place and reason."""

    count: int | None = Field(None, gt=0)
    """How many questions to take from it at most, its first ones; null takes all."""
    max_bad_rate: float = Field(0.01, ge=0, le=1)
    """Share of the rows read that may be broken; above it the stage fails. The papers give no value."""
