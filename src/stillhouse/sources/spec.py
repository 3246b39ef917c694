"""What the spec of every source has."""

from pydantic import Field

from stillhouse.stage import StageConfig


class SourceSpec(StageConfig):
    """A source of questions. A subclass adds ``kind``, and whatever its questions depend on."""

    name: str
    """What the rows' ``source`` column says."""
    count: int = Field(gt=0)
    """How many questions to take from it."""
    seed: int = 0
    """Decides which questions; equal seeds give equal questions."""
    weight: float = Field(1, gt=0)
    """How often its turn comes while sources are interleaved, relative to the other sources' weights."""
    license: str = "CC0-1.0 (generated)"
    """What the rows' ``license`` column says."""
