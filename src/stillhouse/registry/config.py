"""Settings and inputs of ``registry``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from stillhouse.benchmarks.definitions import bare_name, pinned
from stillhouse.execution.contract import ModelDirectory, StageInputs
from stillhouse.vocabulary.settings import StageConfig

Rank = Literal["candidate", "challenger", "champion"]
RANKS: tuple[Rank, ...] = get_args(Rank)
"""From the lowest up; also the aliases of the registered versions that hold them. Every version is a candidate first."""
CANDIDATE, CHALLENGER, CHAMPION = RANKS
REPLACES = "replaces"
"""Tag of a version that became champion: the version that was champion before it."""

Version = tuple[str, dict[str, str]]
"""A registered version's number, and its tags."""

Margin = Annotated[float, Field(ge=0, lt=1)]


class RegistryConfig(StageConfig):
    """The name to register under, and how strict the gate is."""

    model_name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the registered model in MLflow."""
    margin: Margin = 0.025
    """Largest loss in pass@1 that may pass the gate: the lower end of the paired 95 % interval must lie above its negative. The
    default is what annealing cost DeepDistill on LiveCodeBench."""
    margins: dict[str, Margin] = Field(default_factory=dict)
    """Margins of single benchmarks, by name."""

    @field_validator("margins")
    @classmethod
    def _known_benchmarks(cls, margins: dict[str, float]) -> dict[str, float]:
        for name in margins:
            pinned(name)
        return {bare_name(name): margin for name, margin in margins.items()}


@dataclass(frozen=True, kw_only=True)
class RegistryInputs(StageInputs):
    """The candidate's report and checkpoint, and the reports of the checkpoints on the way to it."""

    report: Path
    checkpoint: ModelDirectory
    others: tuple[Path, ...] = ()
